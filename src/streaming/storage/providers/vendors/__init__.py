"""Stores that a vendor's own client serves: ``client`` makes it anew in each process."""
