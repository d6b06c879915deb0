"""What other programs have written, as datasets of this library: ``streaming.convert``.

``convert`` does it, by what ``reading`` makes of a part of a source in a worker process, and ``tokens`` of texts; it tells
beforehand what it would do.
"""
