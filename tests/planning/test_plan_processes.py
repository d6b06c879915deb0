"""Downloads gone through process by process: by hand, where that can be done."""

from __future__ import annotations

import numpy as np
import pytest

from streaming.planning import Speed
from streaming.planning.demand import Needed
from streaming.planning.processes import Course
from streaming.planning.timing import Ranks

ONE = Speed(connection=100, latency_s=0.5, step_s=1)  # a shard of 100 bytes takes 1.5 s


def needed(worker: int, *needs: tuple[int, int], node: int = 0) -> Needed:
    positions, shards = (np.array(column, np.int64) for column in zip(*needs, strict=True))
    return Needed(node, worker, positions, shards)


def sizes(count: int) -> np.ndarray:
    return np.full(count, 100, np.int64)


def test_a_batch_waits_for_its_own_shards() -> None:
    ranks = Ranks(1, 0, 4, predownload=4)
    timing = Course([needed(0, (0, 0), (4, 1), (16, 2))], sizes(3), sizes(3) // 100, 6, ONE, ranks).run()
    assert timing.first_batch_s == 0.5 + 1.5  # the index, then the shard
    # What step 1 needs was asked for with it; what step 4 needs when step 3 is made, less than a step before.
    assert timing.begins.tolist() == [2, 3, 4, 5, 6.5, 7.5]
    assert timing.waits.tolist() == [0, 0, 0, 0, 0.5, 0]
    assert timing.stall_s == 0.5
    assert timing.arrivals.tolist() == [2, 2, 6.5]


def test_what_two_workers_want_comes_once_and_keeps_a_download_of_each() -> None:
    ranks = Ranks(1, 2, 4, predownload=0)
    both = [(0, 0), (1, 1)]
    timing = Course([needed(0, *both), needed(1, *both)], sizes(2), sizes(2) // 100, 2, ONE, ranks).run()
    assert timing.arrivals.tolist() == [2, 2]
    assert timing.waits.tolist() == [0, 0]
    # 9 shards are more than a process has downloads; the other one's are of no use to it.
    nine = [(0, shard) for shard in range(9)]
    timing = Course([needed(0, *nine), needed(1, (0, 9))], sizes(10), sizes(10) // 100, 2, ONE, ranks).run()
    assert timing.first_batch_s == 0.5 + 2 * 1.5
    assert timing.arrivals.tolist() == [2] * 9 + [3.5]


def test_all_ranks_wait_for_the_slowest() -> None:
    ranks = Ranks(1, 0, 4, predownload=0)
    late = needed(0, (0, 0), (4, 1), node=1)
    timing = Course([needed(0, (0, 0)), late], sizes(2), sizes(2) // 100, 3, ONE, ranks).run()
    assert timing.begins.tolist() == [2, 4.5, 5.5]


def test_shards_share_the_bandwidth_of_a_node() -> None:
    speed = Speed(bandwidth=100, step_s=1)
    ranks = Ranks(1, 0, 4, predownload=0)
    timing = Course([needed(0, (0, 0), (1, 1), (2, 2))], sizes(3), sizes(3) // 100, 1, speed, ranks).run()
    assert timing.first_batch_s == pytest.approx(3)


def test_slow_decoding_is_no_wait_for_shards() -> None:
    speed = Speed(connection=100, latency_s=0.5, step_s=1, decode_s=1)
    timing = Course([needed(0, (0, 0))], sizes(1), sizes(1) // 100, 3, speed, Ranks(1, 0, 4, predownload=0)).run()
    assert timing.stall_s == 0
    assert timing.bound == "workers"
    assert timing.begins.tolist() == [6, 11, 16]
    assert timing.total_s == 17 + 4  # a step is one of training and the making of a batch
