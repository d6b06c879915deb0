"""The order of a mixture that changes during a run: lanes over passes of each stream, merged by the steps of a table.

A position of the run is in a step of the table (:mod:`streaming.order.table`), whose merge tells which stream serves it, and
as which of the stream's draws in the canonical node (``course``, ``routes``). The draws of a stream are numbered through all
steps; every so many as it has samples are a pass over it, in a lanes order of its own (``passes``). So a stream goes on
where it was when its weight changes, and no sample of it comes twice before all have come once. ``epoch`` joins this.
"""
