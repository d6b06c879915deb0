"""A value of a checkpoint that cannot be right is refused by its name, before anything is computed from it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from streaming import StreamingDataLoader, StreamingDataset
from streaming.core.errors import CheckpointError, StreamingError

from budget import share
from sample_data import write_dataset

N = 256
HUGE = 1 << 62


@pytest.fixture
def dataset(tmp_path: Path) -> StreamingDataset:
    write_dataset(str(tmp_path / "d"), N, size_limit=4000)
    return StreamingDataset(local=str(tmp_path / "d"), batch_size=8, shuffle=True)


WRONG: list[dict[str, Any]] = [
    *(
        {key: value}
        for key in ("epoch", "sample_in_epoch")
        for value in (None, "1", 1.5, math.nan, True, -2, 1 << 70, [1])
    ),
    *(
        {key: value}
        for key in ("num_canonical_nodes", "shuffle_block_size", "initial_physical_nodes", "global_batch_size")
        for value in ("x", 0, -1, math.nan, 2.0, False, [1], {}, HUGE)
    ),
    *({"shuffle_seed": value} for value in ("x", -1, math.inf, None.__class__, [0], True)),
    {"num_canonical_nodes": 1_000_000, "shuffle_algo": "py1e"},
    *({"shuffle_algo": value} for value in ("no such", 7, ["py1e"], "")),
    *(
        {"skip": value}
        for value in (7, "ab", [1], [[1]], [[1, 2, 3]], [[5, 2]], [[-1, 2]], [[0, 1.5]], [[0, HUGE]], {1: 2})
    ),
    *({"worker": value} for value in ([1], 7, "abc", [2, 1, 0], [0, 1, -1], [0, 1, math.nan], [0, HUGE, 0])),
    *({"workers": value} for value in (7, "ab", np.int64(3), np.arange(2), {"rank": [0, 1], "drawn": [math.inf]})),
    *({key: np.arange(2)} for key in ("dataset", "weights", "shuffle", "epoch_size")),
    *({key: [1]} for key in ("batching_method", "sampling_granularity", "order_version")),
]


@pytest.mark.parametrize("through", ["dataset", "loader"])
@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: ascii(wrong)[:40])
def test_refused_by_name(dataset: StreamingDataset, wrong: dict[str, Any], through: str) -> None:
    state = {**dataset.state_dict(40), "epoch": 0}
    loader = StreamingDataLoader(dataset, batch_size=8)
    with pytest.raises(CheckpointError, match=next(iter(wrong))):
        (dataset if through == "dataset" else loader).load_state_dict({**state, **wrong})
    assert dataset.next_epoch == 0  # nothing of it was taken over
    assert len(list(dataset)) == N


@pytest.mark.parametrize("state", [None, 7, [], "x", [("epoch", 0)]])
def test_no_checkpoint_at_all(dataset: StreamingDataset, state: Any) -> None:
    with pytest.raises(CheckpointError, match="is a dict"):
        dataset.load_state_dict(state)


def test_numpys_integers_are_integers(dataset: StreamingDataset) -> None:
    state = {
        **dataset.state_dict(40),
        "epoch": np.int64(1),
        "sample_in_epoch": np.uint8(40),
        "shuffle_seed": np.int32(5),
    }
    dataset.load_state_dict(state)
    assert dataset.state_dict(0)["shuffle_seed"] == 5
    assert len(list(dataset)) == N - 40


VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers(), max_size=3)
)


@share(0.6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_anywhere(dataset: StreamingDataset, data: st.DataObject) -> None:
    state = {**dataset.state_dict(40), "epoch": 0, "skip": [[80, 88]]}
    for key in data.draw(st.lists(st.sampled_from(sorted(state)), min_size=1, max_size=2)):
        state[key] = data.draw(VALUES)
    try:
        dataset.load_state_dict(state)
        assert sum(1 for _ in dataset) < 1 << 17
    except StreamingError:
        pass
