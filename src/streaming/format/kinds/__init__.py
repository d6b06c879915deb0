"""The formats of shards, each with its way of writing samples and of reading them."""
