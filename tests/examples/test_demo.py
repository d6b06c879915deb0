"""The demo as a job of real processes: the same global batches on any layout, stopped and resumed on others."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[2] / "examples" / "train_language_model.py"
STEPS = 12


def run(out: Path, nodes: int, ranks_per_node: int, *arguments: str) -> None:
    """Run the demo under ``torchrun``, one agent for each simulated node."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    agents = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "torch.distributed.run", f"--nnodes={nodes}", f"--node-rank={node}"),
                *(f"--nproc-per-node={ranks_per_node}", "--master-addr=127.0.0.1", f"--master-port={port}"),
                *(str(DEMO), f"--out={out}", f"--steps={STEPS}", "--workers=1", *arguments),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for node in range(nodes)
    ]
    try:
        for agent in agents:
            _, errors = agent.communicate(timeout=240)
            assert agent.returncode == 0, errors
    finally:
        for agent in agents:
            agent.kill()


def batches(out: Path) -> tuple[list[list[int]], list[float]]:
    rows = [json.loads(line) for line in (out / "batches.jsonl").read_text().splitlines()]
    return [sorted(row["ids"]) for row in rows], [row["loss"] for row in rows]


@pytest.mark.parametrize(
    ("first", "others"),
    [
        pytest.param((1, 2), [(2, 2), (1, 1)], id="few"),
        pytest.param((1, 4), [(2, 2), (4, 1), (1, 2)], id="many", marks=pytest.mark.long),
    ],
)
def test_every_layout_trains_on_the_same_batches(
    tmp_path: Path, first: tuple[int, int], others: list[tuple[int, int]]
) -> None:
    """In the first layout to the end; and in others, of nodes and ranks on each, four steps each but for the last."""
    run(tmp_path / "first", *first)
    whole, losses = batches(tmp_path / "first")
    assert sorted(i for ids in whole for i in ids) == list(range(STEPS * 32))

    mixed = tmp_path / "mixed"
    for layout in others[:-1]:
        run(mixed, *layout, "--stop-after=4")
    run(mixed, *others[-1])
    assert batches(mixed)[0] == whole
    assert max(abs(a - b) for a, b in zip(losses, batches(mixed)[1], strict=True)) < 1e-3
