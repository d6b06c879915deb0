"""Many documents in one sample: bins of bounded length, and batches of documents of like length."""
