"""From a store to this node: one file, in parts, by background threads, or only the rows that come first."""
