"""Reading datasets for a command: its index, and shards that are checked."""
