"""Datasets of other formats, read where they lie.

``listing`` finds the files, ``scan`` looks once into each (how many rows there are, and where), ``cutting`` makes shards of
them, and ``recipe`` makes such a shard, as MDS rows, when it is fetched. ``kinds`` holds a module a format, which gives
Arrow's record batches; ``columns`` and ``encode`` turn these into rows.
"""
