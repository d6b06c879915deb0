"""The commands: a module each, whose ``run`` takes the parsed arguments and returns the exit code."""
