"""A dataset's part of planning: its order, its shards and where it would begin, as plans and proofs take them."""
