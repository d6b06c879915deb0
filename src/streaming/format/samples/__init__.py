"""Samples as bytes and back: what those of a shard have in common, and what a writer may say of it."""
