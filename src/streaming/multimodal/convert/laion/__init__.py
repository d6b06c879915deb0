"""LAION."""
