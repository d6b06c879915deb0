"""Datasets: the composition of index, cache and order; epochs, resumption and the ``DataLoader`` protocol."""
