"""What each command takes, and its help."""
