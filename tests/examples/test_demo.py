"""The demo as a job of real processes: the same global batches on any layout, stopped and resumed on others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from programs import run_code

DEMO = Path(__file__).parents[2] / "examples" / "train_language_model.py"
STEPS = 5
ARGUMENTS = (f"--steps={STEPS}", "--workers=1")

# Ranks are forked from a process that has but imported, which takes each of them longer than the training. Of ``torchrun``
# it is all but the command line that is run.
PROGRAM = """
import json, os, runpy, socket, sys
import torch._dynamo  # by the first step of an optimizer
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from streaming import StreamingDataLoader, StreamingDataset

def train(*arguments):
    sys.argv = [demo, *arguments]
    runpy.run_path(demo, run_name="__main__")

def be_a_rank(rank, nodes, ranks_per_node, port, arguments):
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank % ranks_per_node), GROUP_RANK=str(rank // ranks_per_node),
        WORLD_SIZE=str(nodes * ranks_per_node), LOCAL_WORLD_SIZE=str(ranks_per_node),
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port),
    )
    train(*arguments)

demo, layouts, launched = sys.argv[1], *map(json.loads, sys.argv[2:])
for nodes, ranks_per_node, *arguments in layouts:
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

ranks_per_node, *arguments = launched
standalone = {"rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0", "run_id": "demo", "start_method": "fork"}
elastic_launch(LaunchConfig(1, 1, ranks_per_node, **standalone), train)(*arguments)
"""


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
    launched = (2, mixed, *ARGUMENTS)
    code, _, said = run_code(PROGRAM, str(DEMO), json.dumps(layouts), json.dumps(launched), timeout_s=480)
    assert code == 0, said

    expected, losses = batches(tmp_path / "whole")
    assert sorted(i for ids in expected for i in ids) == list(range(STEPS * 32))
    assert batches(tmp_path / "mixed")[0] == expected
    assert max(abs(a - b) for a, b in zip(losses, batches(tmp_path / "mixed")[1], strict=True)) < 1e-3
