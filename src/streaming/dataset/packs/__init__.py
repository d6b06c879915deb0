"""Datasets whose samples are bins of documents, or batches of samples of like length."""
