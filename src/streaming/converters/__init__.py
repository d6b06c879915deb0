"""Datasets made by other engines, a module each, imported only by those who have the engine; and what programs share."""
