"""How long training waited for its batches, and for what."""
