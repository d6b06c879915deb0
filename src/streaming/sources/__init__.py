"""What other programs have written, as rows: files of other formats, and datasets of others, on disk or in any store.

``listing`` and ``hub`` say which files there are, and ``finding`` of which format they are; ``file`` is one of them, at the
version that was listed, and ``streams`` reads files that are compressed or large one chunk after the other. ``kinds`` has a
module a format. ``pieces`` is what is known of a file once it was looked at, for formats that give Arrow's record batches;
``columns`` and ``encode`` turn these into our columns. ``contract`` is what a source is: parts that are read by themselves,
in a stable order, each a run of rows; ``registry`` opens them.
"""
