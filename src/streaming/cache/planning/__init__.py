"""When a node needs which shards, and so which goes first."""
