"""The order ``lanes``, version 1: the order of an epoch in closed form.

Positions of the epoch go in, sample ids come out, in any order and without a table of samples: setting up takes time
and memory in proportion to the shards. The order depends on the numbers of :class:`~streaming.order.spec.OrderSpec`
and the epoch alone, and it is frozen: checkpoints name it, so another order needs another name or version.

How position ``t`` of an epoch of ``N`` samples finds its sample, with ``C`` canonical nodes:

1. *Batching* (``batching``). Position ``t`` is index ``t // C`` of canonical node ``t % C``. With several streams,
``mixing`` tells which stream serves the index, and as which of its samples in the node. The other batching methods
lay out whole global batches instead. 2. *Draws* (``sampling``, ``striping``, ``runs``). A stream's shards are put in
an order that depends on the seed alone; a    shard that is drawn more or less than once gives several passes or a
part of one. This sequence is cut into ``C``    parts, as long as laying all draws of all streams end to end and
dealing them to the nodes in turn makes them. So a    node reads the same shards in every epoch. The pieces are runs:
one pass over one shard each, or a part at a border. 3. *Lanes* (``lanes``, ``ramp``). In every epoch, the runs of a
stream in a node are shuffled, laid end to end and cut into    ``K`` lanes, ``K`` being ``shuffle_block_size`` over
the mean length of runs. Each round takes one sample from each open    lane, in a keyed order. Lanes open one by one
and close together, and reach the ends of their runs at different times,    so that shards are needed one after
another and at most ``K`` at a time. 4. *Samples* (``within``). A run reads its shard in a keyed permutation
(``permutation``) that belongs to the epoch, the    shard and the pass.

Every random number is a hash of what it is for (``keys``). Each step can be undone, which tells when a sample will
come. Without shuffling the steps are the same, with one lane and nothing permuted.
"""

from streaming.order.lanes.epoch import LanesEpoch, WorkerIds

__all__ = ["VERSION", "LanesEpoch", "WorkerIds"]

#: Version of the algorithm, for checkpoints.
VERSION = 1
