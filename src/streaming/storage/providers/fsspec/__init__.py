"""Whatever fsspec has a file system for."""
