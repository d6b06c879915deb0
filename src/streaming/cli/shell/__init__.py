"""What a command shows, how it takes places and settings, and much at a time."""
