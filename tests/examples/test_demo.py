"""The demo as a job of real processes: the same global batches on any layout, stopped and resumed on others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[2] / "examples" / "train_language_model.py"
STEPS = 5
ARGUMENTS = (f"--steps={STEPS}", "--workers=1")

# Ranks are forked from a process that has but imported, which takes each of them longer than the training.
PROGRAM = """
import json, os, runpy, socket, sys
import torch._dynamo  # by the first step of an optimizer
from streaming import StreamingDataLoader, StreamingDataset

def be_a_rank(rank, nodes, ranks_per_node, port, arguments):
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank % ranks_per_node), GROUP_RANK=str(rank // ranks_per_node),
        WORLD_SIZE=str(nodes * ranks_per_node), LOCAL_WORLD_SIZE=str(ranks_per_node),
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port),
    )
    sys.argv = [sys.argv[1], *arguments]
    runpy.run_path(sys.argv[0], run_name="__main__")

for nodes, ranks_per_node, *arguments in json.loads(sys.argv[2]):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ranks = []
    for rank in range(nodes * ranks_per_node):
        ranks.append(os.fork())
        if not ranks[-1]:
            be_a_rank(rank, nodes, ranks_per_node, port, arguments)
            os._exit(0)  # to take apart what was imported would take each of them longer than the training, too
    assert [os.waitpid(pid, 0)[1] for pid in ranks] == [0] * len(ranks)
"""


def run(*command: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=280, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr


def batches(out: Path) -> tuple[list[list[int]], list[float]]:
    rows = [json.loads(line) for line in (out / "batches.jsonl").read_text().splitlines()]
    return [sorted(row["ids"]) for row in rows], [row["loss"] for row in rows]


@pytest.mark.timeout(600)
def test_every_layout_trains_on_the_same_batches(tmp_path: Path) -> None:
    """On one node of four ranks; and begun on two of two, gone on with on four of one, and by ``torchrun`` on one of two."""
    whole, mixed = (f"--out={tmp_path / name}" for name in ("whole", "mixed"))
    layouts = [
        (1, 4, whole, *ARGUMENTS),
        (2, 2, mixed, *ARGUMENTS, "--stop-after=2"),
        (4, 1, mixed, *ARGUMENTS, "--stop-after=2"),
    ]
    run("-c", PROGRAM, str(DEMO), json.dumps(layouts))
    run("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(DEMO), mixed, *ARGUMENTS)

    expected, losses = batches(tmp_path / "whole")
    assert sorted(i for ids in expected for i in ids) == list(range(STEPS * 32))
    assert batches(tmp_path / "mixed")[0] == expected
    assert max(abs(a - b) for a, b in zip(losses, batches(tmp_path / "mixed")[1], strict=True)) < 1e-3
