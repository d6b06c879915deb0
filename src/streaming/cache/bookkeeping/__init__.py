"""What is known of a cache by all its processes: whose it is, what it holds, who works on it, and what has happened."""
