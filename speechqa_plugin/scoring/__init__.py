"""What scoring many files needs besides a model: results on disk, shares, filters, a summary."""
