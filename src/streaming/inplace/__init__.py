"""Datasets of other formats, trained from where they lie.

``scan`` looks once into each file of a source (how many rows there are, and where), ``cutting`` makes shards of them, and
``recipe`` makes such a shard, as MDS rows, when it is fetched. How files are found and read, ``streaming.sources`` knows.
"""
