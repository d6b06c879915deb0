"""What every layer may use: errors, registries, units, topology. Knows nothing of shards or storage."""
