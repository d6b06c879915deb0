"""Accelerate: ``prepare`` leaves a StreamingDataLoader alone, and anything that would lose data is refused."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import Any

import pytest

from programs import run_ranks
from sample_data import ids_of, write_kinds

pytestmark = pytest.mark.skipif(find_spec("accelerate") is None, reason="accelerate is not installed")

PROGRAM = """
import json, os, sys, warnings
os.environ["ACCELERATE_USE_CPU"] = "1"
warnings.simplefilter("ignore")
import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.utils import gather_object
from torch.utils.data import DataLoader
from sample_data import open_kind
from streaming import StreamingDataLoader

def prepared(cls, workers=0, state=None, kind="stored"):
    dataset = open_kind(kind, sys.argv[1], batch_size=4, shuffle=True, num_canonical_nodes=1)
    loader = cls(dataset, batch_size=4, num_workers=workers)
    if state is not None:
        loader.load_state_dict(state)
    return accelerator.prepare(loader, torch.nn.Linear(1, 1))[0]

def train(loader):
    ids, saved = [], None
    for batch in loader:
        ids += batch["id"].tolist()
        if len(ids) == 40:
            saved = loader.state_dict()
    return gather_object([ids]), saved

def say(what):
    if accelerator.is_main_process:
        print(json.dumps(what), flush=True)

if __name__ == "__main__":
    accelerator = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(dispatch_batches=False))
    for kind in "stored", "all":
        ids, state = train(prepared(StreamingDataLoader, workers=1, kind=kind))
        say([ids, train(prepared(StreamingDataLoader, state=state, kind=kind))[0]])
    try:
        train(prepared(DataLoader))
    except Exception as error:
        say(str(error))
    accelerator.wait_for_everyone()
    accelerator.dataloader_config.dispatch_batches = True
    train(prepared(DataLoader))  # one rank reads, and its error ends the job
"""


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], list[int | None], str]:
    """What the first rank said, how both ended, and their standard error."""
    folder = tmp_path_factory.mktemp("accelerate")
    write_kinds(str(folder / "data"), 240)
    program = folder / "train.py"
    program.write_text(PROGRAM)
    ended = run_ranks(program, str(folder / "data"), ranks_per_node=2)
    said = [json.loads(line) for line in ended[0][1].splitlines()]
    return said, [status for status, *_ in ended], "".join(errors for *_, errors in ended)


def test_prepared_and_resumed(job: Any) -> None:
    said, _, errors = job
    assert len(said) >= 2, errors
    for kind, (whole, rest) in zip(("stored", "all"), said, strict=False):
        assert sorted(whole[0] + whole[1]) == ids_of(kind, 240)
        assert rest == [ids[40:] for ids in whole]


def test_what_would_lose_data_is_refused(job: Any) -> None:
    """Batches that each rank takes its share of, and those that one rank reads for all."""
    said, codes, errors = job
    assert len(said) == 3, errors
    assert "second time" in said[2]
    assert 0 not in codes
    assert "second time" in errors
