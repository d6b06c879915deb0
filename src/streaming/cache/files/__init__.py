"""Files of shards on this node: named, proved, locked, owned, opened, and read by many samples at once."""
