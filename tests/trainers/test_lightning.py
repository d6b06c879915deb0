"""Lightning: a run that is killed in the middle of an epoch resumes with the next batch."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from streaming import StreamingDataset

from programs import run_program

pytestmark = pytest.mark.skipif(find_spec("lightning") is None, reason="lightning is not installed")
Make = Callable[..., str]

PROGRAM = """
import os, signal, sys, json, warnings, logging
warnings.simplefilter("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
import torch, lightning as L
from streaming import StreamingDataset, StreamingDataLoader

data, log, checkpoint = sys.argv[1:]

class Model(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.steps = 0
    def training_step(self, batch, batch_idx):
        with open(log, "a") as file:
            file.write(json.dumps([self.current_epoch, batch["id"].tolist()]) + "\\n")
        self.steps += 1
        return self.layer(batch["id"].float()[:, None]).mean() * 0
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

class Die(L.Callback):
    def __init__(self, die_at):
        self.die_at = die_at
    def on_train_batch_end(self, trainer, model, *args):
        if model.steps == self.die_at:
            trainer.save_checkpoint(checkpoint)
            os.kill(os.getpid(), signal.SIGKILL)

def train(workers, die_at):
    dataset = StreamingDataset(local=data, batch_size=4, shuffle=True)
    loader = StreamingDataLoader(dataset, batch_size=4, num_workers=workers)
    trainer = L.Trainer(max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False,
                        enable_progress_bar=False, enable_model_summary=False, callbacks=[Die(die_at)])
    trainer.fit(Model(), loader, ckpt_path=checkpoint if os.path.exists(checkpoint) else None)

if __name__ == "__main__":
    for workers, die_at in (2, 40), (1, 0):
        pid = os.fork()  # of a process that has but imported, which takes longer than the training
        if not pid:
            train(workers, die_at)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


def test_killed_and_resumed(make_dataset: Make, tmp_path: Path) -> None:
    data = make_dataset(120)
    dataset = StreamingDataset(local=data, batch_size=4, shuffle=True)
    epochs = [[sample["id"] for sample in dataset] for _ in range(2)]
    whole = [json.dumps([epoch, ids[i : i + 4]]) for epoch, ids in enumerate(epochs) for i in range(0, 120, 4)]
    assert len(whole) == 60
    assert len(set(whole)) == 60
    log, program = tmp_path / "log", tmp_path / "train.py"
    program.write_text(PROGRAM)
    _, said, errors = run_program(program, data, str(log), str(tmp_path / "checkpoint"))
    assert said.split() == ["-9", "0"], errors
    assert log.read_text().splitlines() == whole
