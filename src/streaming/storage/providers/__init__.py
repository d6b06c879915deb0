"""Stores by provider. ``remote`` is what all have in common that one network client serves; ``local`` is the other kind."""
