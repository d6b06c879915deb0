"""Whole files: their compression, in both directions, and their hashes."""
