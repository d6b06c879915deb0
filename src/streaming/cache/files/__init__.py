"""Files of shards on this node: proved, owned, opened, and read by many samples at once."""
