"""Bytes of a shard to samples and back: formats, encodings, compression, hashes and the index.

Knows nothing of where bytes came from: it maps local files and works on bytes in memory.
"""
