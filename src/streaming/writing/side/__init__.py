"""Side columns of what is written, and of what was: read from every shard once, or taken as samples are written."""
