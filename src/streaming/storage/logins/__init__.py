"""Who this process is to a store: where its credentials come from, by provider."""
