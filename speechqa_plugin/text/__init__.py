"""The text a model reads and writes: instructions, answers, descriptions dimension by dimension."""
