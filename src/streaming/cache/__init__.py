"""Which shards are on local disk: fetching each exactly once per node, opening, evicting, looking ahead.

The state of a shard is the file system's: its final name exists only when it is complete and verified. Any
process may be killed at any moment; whoever comes next continues from the bytes already there.
"""
