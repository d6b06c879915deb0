"""Bytes by URL: get, get a range, put, list. Knows nothing of shards."""
