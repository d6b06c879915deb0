"""Accelerate: ``prepare`` leaves a StreamingDataLoader alone, and anything that would lose data is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("accelerate")
Make = Callable[..., str]

PROGRAM = """
import json, sys, warnings
warnings.simplefilter("ignore")
import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.utils import gather_object
from torch.utils.data import DataLoader
from streaming import StreamingDataset, StreamingDataLoader

data, state, kind, workers = sys.argv[1:]

if __name__ == "__main__":
    config = DataLoaderConfiguration(dispatch_batches=kind == "dispatch")
    accelerator = Accelerator(cpu=True, dataloader_config=config)
    dataset = StreamingDataset(local=data, batch_size=4, shuffle=True, num_canonical_nodes=1)
    cls = StreamingDataLoader if kind == "ours" else DataLoader
    loader = cls(dataset, batch_size=4, num_workers=int(workers))
    if json.loads(state):
        loader.load_state_dict(json.loads(state))
    loader, model = accelerator.prepare(loader, torch.nn.Linear(1, 1))
    ids, saved = [], None
    for batch in loader:
        ids += batch["id"].tolist()
        if len(ids) == 40:
            saved = loader.state_dict() if kind == "ours" else None
    everyone = gather_object([ids])
    if accelerator.is_main_process:
        print(json.dumps([everyone, saved]))
    accelerator.wait_for_everyone()
    torch.distributed.destroy_process_group()
"""


def run(tmp_path: Path, data: str, kind: str, ranks: int, workers: int, state: Any = None) -> tuple[int, str, str]:
    program = tmp_path / "train.py"
    program.write_text(PROGRAM)
    arguments = [str(program), data, json.dumps(state), kind, str(workers)]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1"},
    )
    return done.returncode, done.stdout, done.stderr


def test_prepared_and_resumed(make_dataset: Make, tmp_path: Path) -> None:
    data = make_dataset(240)
    code, out, err = run(tmp_path, data, "ours", 2, 1)
    assert code == 0, err
    ranks, state = json.loads(out.strip().splitlines()[-1])
    assert sorted(ranks[0] + ranks[1]) == list(range(240))
    code, out, err = run(tmp_path, data, "ours", 2, 0, state)
    assert code == 0, err
    rest, _ = json.loads(out.strip().splitlines()[-1])
    assert rest == [ids[40:] for ids in ranks]


@pytest.mark.parametrize("kind", ["dispatch", "shard"])
def test_what_would_lose_data_is_refused(make_dataset: Make, tmp_path: Path, kind: str) -> None:
    code, _, err = run(tmp_path, make_dataset(240), kind, 2, 0)
    assert code != 0
    assert "second time" in err
