"""Audio LLMs: what a base must offer, and the bases there are."""
