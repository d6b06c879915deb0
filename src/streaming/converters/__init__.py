"""Datasets made by other engines: one module each, imported only by those who have the engine."""
