"""Samples to shards to the store, the index last."""
