"""What is known of a cache by all its processes: whose it is, what it holds, and what has happened."""
