"""The lanes order is frozen. Changing these digests breaks every saved checkpoint.

A different order needs a different name or version. To write digests for a new version::

    PYTHONPATH=src:tests/order python tests/order/test_lanes_golden.py
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lanes_cases import make_spec

from streaming.order.lanes import VERSION, LanesEpoch

PATH = Path(__file__).parents[1] / "goldens" / "order" / "lanes.json"
METHODS = ("random", "stratified", "per_stream", "device_per_stream")


def cases(count: int = 120) -> list[dict[str, Any]]:
    """Settings that depend on no random generator but this one."""
    state = 1

    def below(n: int) -> int:
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (state >> 33) % n

    out: list[dict[str, Any]] = []
    for number in range(count):
        largest = (3, 40, 700, 5000)[number % 4]
        streams = [[1 + below(largest) for _ in range(1 + below(25))] for _ in range(1 + below(5))]
        totals = [sum(stream) for stream in streams]
        weighted = [64 + below(3 * total) for total in totals]
        out.append(
            {
                "streams": streams,
                "choose": totals if number % 3 == 0 and min(totals) > 64 else weighted,
                "batching_method": METHODS[below(4)],
                "batch_size": 1 + below(4),
                "num_canonical_nodes": 1 + below(6),
                "shuffle": below(5) > 0,
                "shuffle_seed": (9176, below(2**31), 2**80 + number)[below(3)],
                "shuffle_block_size": 1 + below(20_000),
                "sampling_method": ("balanced", "fixed")[below(2)],
                "sampling_granularity": 1 + below(10),
            }
        )
    return out


def observe(case: dict[str, Any], number: int) -> dict[str, Any]:
    spec = make_spec(**case)
    try:
        epoch = LanesEpoch(spec, number % 3, 8 * spec.batch_size)
    except ValueError as error:
        return {"error": type(error).__name__}
    ids = epoch.ids(np.arange(epoch.total))
    return {
        "total": epoch.total,
        "first": ids[:4].tolist(),
        "digest": hashlib.sha256(ids.astype("<i8").tobytes()).hexdigest()[:24],
    }


@pytest.mark.parametrize("part", range(6))
def test_frozen(part: int) -> None:
    golden = json.loads(PATH.read_text())
    assert golden["version"] == VERSION
    for number, case in list(enumerate(cases()))[part::6]:
        assert observe(case, number) == golden["cases"][number], number


def main() -> None:
    found = [observe(case, number) for number, case in enumerate(cases())]
    lines = ",\n".join(json.dumps(entry) for entry in found)
    PATH.write_text(
        '{"about": "Changing these breaks every saved checkpoint.",\n'
        f'"version": {VERSION},\n"cases": [\n{lines}\n]}}\n'
    )


if __name__ == "__main__":
    main()
