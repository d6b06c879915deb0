"""What other programs have written, as rows: files of other formats, and datasets of others, on disk or in any store.

``contract`` is what a source is: parts that can be read by themselves, in a stable order, each a run of rows. ``finding``
tells of which format files are, ``registry`` opens them, and ``kinds`` has a module a format. ``streams`` reads files that
are compressed or large one chunk after the other.
"""
