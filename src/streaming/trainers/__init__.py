"""Adapters for trainers that want more than a ``DataLoader``. Nothing below knows of them."""
