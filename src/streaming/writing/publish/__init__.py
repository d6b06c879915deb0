"""Where shards go: the place, whose it is, what is there already, and whether the store has what the index says."""
