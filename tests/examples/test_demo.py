"""The demo as a job of real processes: the same global batches on any layout, stopped and resumed on others."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

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


def test_every_layout_trains_on_the_same_batches(tmp_path: Path) -> None:
    run(tmp_path / "1x4", 1, 4)
    whole, losses = batches(tmp_path / "1x4")
    assert sorted(i for ids in whole for i in ids) == list(range(STEPS * 32))

    mixed = tmp_path / "mixed"
    run(mixed, 2, 2, "--stop-after=5")
    run(mixed, 4, 1, "--stop-after=4")
    run(mixed, 1, 2)
    assert batches(mixed)[0] == whole
    assert max(abs(a - b) for a, b in zip(losses, batches(mixed)[1], strict=True)) < 1e-3
