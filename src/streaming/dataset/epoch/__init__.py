"""One epoch of a dataset: which it is, its order, this worker's pass over it, and its checkpoint.

``epochs`` agrees on the number, over the ``board`` that workers share; ``ordering`` makes the ids, kept in an
``epoch_file`` where they are materialised, and ``plans`` when which shard is read. ``reader`` begins a pass: ``iterate``
yields samples, ``batches`` batches, and ``substitutes`` what takes the place of broken ones, while ``progress`` counts.
``resumption`` saves and loads ``state``, whose ``values`` are checked; ``inspection`` answers what an epoch holds, and
``interface`` is what loaders may ask of a dataset.
"""
