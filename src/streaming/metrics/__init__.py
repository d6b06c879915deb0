"""What a loader says of itself, for the programs that watch runs."""
