"""From a store to this node: the shards of one stream, one file, in parts, by background threads."""
