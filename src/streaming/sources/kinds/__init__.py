"""Sources, a module a format."""
