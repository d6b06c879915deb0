"""How readers use a cache: ahead of need, many samples at once, and the first ones before their shards are there."""
