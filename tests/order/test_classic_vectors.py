"""Answers of the original library that are written down for the record: small ones in full, large ones as digests."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.order.classic.batching import generate_work
from streaming.order.classic.partition import get_partitions
from streaming.order.classic.sampling import get_sampling
from streaming.order.classic.shuffle import get_shuffle
from streaming.order.classic.weights import resolve_weights
from streaming.order.spec import Layout, OrderSpec

SIZES = np.array([1000 + 37 * (i % 29) for i in range(100)], np.int64)

SHUFFLED = """
naive 1 7 15 2 13 17 3 11 16 4 8 10 12 1 6 9 5 14 18 0
naive 3 7 15 2 13 17 3 11 16 4 8 10 12 1 6 9 5 14 18 0
py1s 1 15 18 16 17 5 6 7 4 3 0 2 1 10 13 8 11 9 14 12
py1s 2 6 5 10 8 11 12 14 9 13 1 3 4 2 0 17 18 15 16 7
py1s 3 8 11 12 10 9 13 7 5 6 16 15 14 18 17 3 2 1 0 4
py2s 1 17 15 16 18 5 7 6 3 1 2 0 4 10 14 8 11 9 12 13
py2s 2 7 5 8 11 13 10 12 14 9 4 1 3 0 2 6 18 15 17 16
py2s 3 13 11 10 9 14 8 17 16 12 5 6 7 4 1 3 0 2 18 15
py1br 1 7 16 0 15 6 5 18 17 8 2 4 3 1 9 11 14 10 12 13
py1br 2 8 6 10 11 5 9 12 13 14 2 17 15 1 4 0 3 16 18 7
py1br 3 11 8 10 9 12 13 16 14 5 6 7 15 17 1 3 18 0 2 4
py1e 1 15 18 16 7 5 6 17 4 3 0 2 1 10 13 8 11 9 14 12
py1e 2 10 6 5 8 11 12 14 9 13 2 3 1 16 4 15 0 17 7 18
py1e 3 8 11 12 10 9 13 16 7 6 14 15 5 0 18 17 1 3 4 2
"""

SHUFFLE_DIGESTS = """
naive 1 5294c4ec80db383c d26ee8ed32d40d37
py1s 1 ae8c94cc6e565586 7d7c04717aee9a94
py1s 8 fa14aa542f418ae9 9817fdada8c0a972
py1s 64 187d87d4c83dcc0d 015a35f61832b39d
py2s 1 a948598c3e82ccc7 c67858d35986690b
py2s 8 62b64c58f89da364 925d495c6c188ffd
py2s 64 290d538f4ba9e211 25881da7a89012fd
py1br 1 53f7fa3247853e4a 78aad27fde11cc9e
py1br 8 ed3ef6aac788ebc9 85f108499d7eaea3
py1br 64 1399df1823a2490a 116954aab454c763
py1e 1 8b60b207f3c9ce9c b12edce3b1e42d35
py1e 8 ca3b62d752ff0f5f 7c5089a386b63444
py1e 64 45b2744ac2ce3a90 a2a57809e598d364
"""

PARTITION_DIGESTS = """
orig 100003 64 4 8 3 16 0 None | 4 8 3 66 16 | 40424e75f934dfc1 1344
orig 100003 2 4 8 3 16 0 None | 4 8 3 66 16 | 08e09146a7a284c6 1344
orig 100003 64 4 8 3 16 12345 None | 4 8 3 58 16 | 3968787c36944d6c 1376
relaxed 100003 64 6 4 2 8 9600 4 | 6 4 2 236 8 | 8b43a48bc40441e9 192
orig 100003 1 1 1 1 1 0 None | 1 1 1 100003 1 | 8e2c5cd75e1218b3 0
"""

BATCHES = {
    ("random", 0, 0): "1,18|43,44|0,27|46,47|48,49|51,59",
    ("random", 0, 1): "20,45|5,28|10,56|50,11|23,61|52,62",
    ("random", 1, 0): "32,38|64,42|63,37|3,33|58,34|40,6",
    ("random", 1, 1): "25,29|26,41|54,57|31,39|9,36|7,35",
    ("stratified", 0, 0): "11,20|10,0|3,1|5,6|23,9|18,7",
    ("stratified", 0, 1): "41,63|45,56|47,49|25,54|38,50|37,27",
    ("stratified", 1, 0): "42,59|30,58|46,44|39,61|48,57|36,33",
    ("stratified", 1, 1): "52,64|51,32|40,31|26,28|43,62|35,34",
    ("per_stream", 0, 0): "41,52|30,47|11,3|40,39|38,43",
    ("per_stream", 0, 1): "42,45|51,46|10,5|25,26|48,37",
    ("per_stream", 1, 0): "63,64|58,49|20,1|31,61|50,62",
    ("per_stream", 1, 1): "59,56|32,44|0,6|54,28|57,27",
    ("device_per_stream", 0, 0): "11,10|52,45|47,46|40,25|38,48|23,18|-1,-1|-1,-1",
    ("device_per_stream", 0, 1): "63,59|64,56|1,6|31,54|50,57|9,7|-1,-1|-1,-1",
    ("device_per_stream", 1, 0): "41,42|30,51|3,5|39,26|43,37|36,35|-1,-1|-1,-1",
    ("device_per_stream", 1, 1): "20,0|58,32|49,44|61,28|62,27|33,34|-1,-1|-1,-1",
}


def digest(array: NDArray[np.int64]) -> str:
    return hashlib.sha1(np.ascontiguousarray(array, "<i8").tobytes()).hexdigest()[:16]


def make_spec(samples: int, per_shard: int, epoch_size: int | None = None, **changes: Any) -> OrderSpec:
    """Return the order of one stream."""
    full, rest = divmod(samples, per_shard)
    sizes = np.array([per_shard] * full + [rest] * bool(rest), np.int64)
    settings: dict[str, Any] = {
        "samples_per_shard": sizes,
        "shards_per_stream": np.array([len(sizes)]),
        "choose": np.array([epoch_size or samples]),
        "proportion": np.array([1.0]),
        "epoch_size": epoch_size or samples,
        "batch_size": 4,
        "num_canonical_nodes": 1,
        "shuffle": True,
        "shuffle_algo": "py1e",
        "shuffle_seed": 9176,
        "shuffle_block_size": 4_000_000,
    }
    return OrderSpec(**{**settings, **changes})


@pytest.mark.parametrize("line", SHUFFLED.split("\n")[1:-1])
def test_small_shuffles(line: str) -> None:
    algo, canonical, *expected = line.split()
    order = get_shuffle(algo, np.array([5, 3, 7, 4]), int(canonical), 9176, 1, 8)
    assert order.dtype == np.int64
    assert order.tolist() == [int(place) for place in expected]


@pytest.mark.parametrize("line", SHUFFLE_DIGESTS.split("\n")[1:-1])
def test_shuffles(line: str) -> None:
    algo, canonical, *expected = line.split()
    found = [digest(get_shuffle(algo, SIZES, int(canonical), 9176, epoch, 4096)) for epoch in (0, 3)]
    assert found == expected


@pytest.mark.parametrize(
    ("choose", "granularity", "epoch", "expected"),
    [(10, 1, 0, [2, 3, 5, 0]), (30, 2, 1, [6, 6, 12, 6]), (38, 1, 0, [10, 6, 14, 8])],
)
def test_small_samplings(choose: int, granularity: int, epoch: int, expected: list[int]) -> None:
    assert get_sampling(np.array([5, 3, 7, 4]), choose, granularity, 9176, epoch, True).tolist() == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((54321, 1, 9176, 2, True), "723f5696d6913b21"),
        ((54321, 100, 9176, 2, True), "a941bae0d71b0397"),
        ((654321, 7, 1, 0, False), "9d784e2c5551a1cc"),
    ],
)
def test_samplings(arguments: tuple[Any, ...], expected: str) -> None:
    assert digest(get_sampling(SIZES, *arguments)) == expected


def test_small_partitions() -> None:
    assert get_partitions("orig", 10, 2, 2, 2, 2, 2).tolist() == [
        [[[[0, 2]], [[4, -1]]], [[[1, 3]], [[3, -1]]]],
        [[[[5, 7]], [[9, -1]]], [[[6, 8]], [[8, -1]]]],
    ]
    assert get_partitions("orig", 7, 1, 2, 2, 1, 2).tolist() == [[[[[0, 4]]], [[[2, 6]]]], [[[[1, 5]]], [[[3, 5]]]]]
    assert get_partitions("orig", 23, 2, 1, 2, 2, 3).tolist() == [
        [
            [[[0, 1, 2], [6, 7, 8]], [[3, 4, 5], [9, 10, 10]]],
            [[[11, 12, 13], [17, 18, 19]], [[14, 15, 16], [20, 21, 22]]],
        ]
    ]
    resumed = get_partitions("orig", 10, 2, 2, 2, 2, 2, 4)
    assert resumed[:, :, 0, 0].tolist() == [[[2, 4], [3, 3]], [[7, 9], [8, 8]]]
    assert (resumed[:, :, 1] == -1).all()


def test_relaxed_partitions_deal_the_batches_of_the_first_world() -> None:
    work = get_partitions("relaxed", 24, 2, 3, 2, 1, 2, 0, 2)
    assert work[:, :, 0].tolist() == [
        [[[0, 2], [6, 8]], [[4, 1], [10, 7]]],
        [[[3, 5], [9, 11]], [[12, 14], [18, 20]]],
        [[[16, 13], [22, 19]], [[15, 17], [21, 23]]],
    ]
    with pytest.raises(ConfigError, match="one must divide the other"):
        get_partitions("relaxed", 24, 2, 3, 2, 1, 2, 0, None)


@pytest.mark.parametrize("line", PARTITION_DIGESTS.split("\n")[1:-1])
def test_partitions(line: str) -> None:
    call, shape, answer = (part.split() for part in line.split("|"))
    arguments = [None if word == "None" else int(word) for word in call[1:]]
    work = get_partitions(call[0], *arguments)  # type: ignore[arg-type]
    assert work.shape == tuple(map(int, shape))
    assert [digest(work), str(int((work == -1).sum()))] == answer


def test_too_few_samples_for_the_canonical_nodes() -> None:
    with pytest.warns(UserWarning, match="samples are repeated"):
        work = get_partitions("orig", 5, 8, 2, 2, 1, 1)
    assert work.shape == (2, 2, 1, 2, 1)
    assert digest(work) == "ba7b5ea014f9a278"


@pytest.mark.parametrize(
    ("sizes", "weights", "epoch_size", "expected"),
    [
        ((25, 40), {"proportions": (1, 3)}, None, [16, 49]),
        ((10, 20, 30), {"proportions": (1, 1, 1)}, 100, [33, 33, 34]),
        ((10, 20, 31), {}, 50, [8, 16, 26]),
        ((10, 20, 30), {"repeats": (2.5, None, None), "chooses": (None, 7, None)}, None, [25, 7, 30]),
    ],
)
def test_weights(sizes: tuple[int, ...], weights: dict[str, Any], epoch_size: int | None, expected: list[int]) -> None:
    unset = (None,) * len(sizes)
    found = resolve_weights(
        np.array(sizes),
        **{"proportions": unset, "repeats": unset, "chooses": unset, **weights},
        epoch_size=epoch_size,
        seed=9176,
    )
    assert found.choose.tolist() == expected
    assert found.epoch_size == sum(expected)


@pytest.mark.filterwarnings("ignore:Stream . does not fill")
@pytest.mark.parametrize("place", BATCHES, ids=lambda place: f"{place[0]}-n{place[1]}r{place[2]}")
def test_batching(place: tuple[str, int, int]) -> None:
    method, node, rank = place
    sizes = [2] * 12 + [1] + [2] * 20
    weights = resolve_weights(
        np.array([25, 40]),
        proportions=(1, 3),
        repeats=(None, None),
        chooses=(None, None),
        epoch_size=48,
        seed=9176,
    )
    spec = make_spec(
        1,
        1,
        samples_per_shard=np.array(sizes),
        shards_per_stream=np.array([13, 20]),
        choose=weights.choose,
        proportion=weights.proportion,
        epoch_size=48,
        batch_size=2,
        num_canonical_nodes=2,
        shuffle_block_size=16,
        batching_method=method,
    )
    work = generate_work(spec, Layout(2, 2, 1), 0)
    found = "|".join(",".join(map(str, batch)) for batch in work[node, rank, 0].tolist())
    assert found == BATCHES[place]


def test_single_process() -> None:
    epochs = (
        "24 4 11 2 9 21 22 12 1 18 0 16 15 13 20 7 10 19 6 23 17 3 14 8 5",
        "4 11 3 12 21 10 23 8 13 18 15 0 22 9 20 17 2 7 6 14 5 19 16 24 1",
    )
    for epoch, expected in enumerate(epochs):
        work = generate_work(make_spec(25, 2), Layout(), epoch).reshape(-1)
        assert work[work >= 0].tolist() == [int(sample) for sample in expected.split()]


def test_unshuffled_epochs_draw_other_samples() -> None:
    for epoch, expected in enumerate(("1 3 5 6 7 8 10 19 20 23", "1 3 4 6 7 9 11 19 20 22")):
        work = generate_work(make_spec(25, 2, 10, shuffle=False), Layout(), epoch).reshape(-1)
        assert work[work >= 0].tolist() == [int(sample) for sample in expected.split()]
