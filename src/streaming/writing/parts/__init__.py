"""Parts of a dataset, written anywhere and in any order, and the one index of them.

A part is some inputs and the shards made of them, in a directory of its own. ``shards`` writes these under names made of
their contents, so that an attempt that is repeated, or that two machines make at once, does no harm. ``work`` does a part
and leaves a receipt, ``ledger`` keeps the receipts, ``publish`` makes the index of them, and ``write`` does it all by an
engine: a function that calls another for each of many tasks, on a cluster.
"""
