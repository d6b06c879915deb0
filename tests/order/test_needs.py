from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lanes_cases import make_spec

from streaming.order.queries.needs import node_spans
from streaming.order.queries.plan import EpochOrder
from streaming.order.skips import Skips
from streaming.order.spec import Layout


@pytest.mark.filterwarnings("ignore:shuffle_block_size:UserWarning")
@given(data=st.data())
def test_every_sample_is_served_within_a_span_of_its_shard(data: st.DataObject) -> None:
    """The spans say when a node reads from which shards, in samples that all ranks have served."""
    algo = data.draw(st.sampled_from(["lanes", "py1e", "py1br", "naive"]))
    streams = data.draw(st.lists(st.lists(st.integers(5, 30), min_size=8, max_size=12), min_size=1, max_size=2))
    nodes, ranks = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 2))
    spec = make_spec(
        streams,
        num_canonical_nodes=nodes * data.draw(st.integers(1, 2)),
        shuffle_algo=algo,
        shuffle_block_size=data.draw(st.integers(50, 300)),
        batch_size=3,
    )
    layout = Layout(nodes, ranks, data.draw(st.integers(1, 3)))
    global_batch = layout.num_ranks * 3
    begin = global_batch * data.draw(st.integers(0, 2))
    skips = Skips([[0, global_batch]]) if data.draw(st.booleans()) else Skips(())
    if algo != "lanes":
        begin = 0
    order = EpochOrder(spec, data.draw(st.integers(0, 2)), layout)
    node = data.draw(st.integers(0, nodes - 1))
    shards, first, last = node_spans(order, node, begin, skips)
    ends = spec.sample_offset_per_shard[1:]
    for rank in range(ranks):
        for worker in range(layout.workers_per_rank):
            ids = order.worker_ids(node, rank, worker, begin, skips)
            for slot, sample in enumerate(ids.ids(0, len(ids)).tolist()):
                if sample < 0:
                    continue
                batch, place = divmod(slot, 3)
                time = begin + ((batch * layout.workers_per_rank + worker) * 3 + place) * layout.num_ranks
                if time + layout.num_ranks > spec.epoch_size:
                    continue  # what fills up the last batch comes from samples served just before
                spans = shards == np.searchsorted(ends, sample, side="right")
                near = (first[spans] - layout.num_ranks <= time) & (time <= last[spans] + layout.num_ranks)
                assert near.any(), (sample, time, first[spans], last[spans])
