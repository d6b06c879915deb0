"""Datasets to files that other programs read: ``export`` is called, ``samples`` reads, the others write a format each."""
