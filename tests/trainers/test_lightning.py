"""Lightning: a run that is killed amid an epoch, or at its end, resumes with the next batch, and logs what it waited for."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from programs import run_program
from sample_data import ids_of, open_kind, write_kinds

pytestmark = pytest.mark.skipif(find_spec("lightning") is None, reason="lightning is not installed")

PROGRAM = """
import os, signal, sys, json, warnings, logging
warnings.simplefilter("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
import torch, lightning as L
from lightning.pytorch.loggers import CSVLogger
from sample_data import open_kind
from streaming import StreamingDataLoader
from streaming.metrics.callbacks import lightning_callback

paths = sys.argv[1:]

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
    def on_train_epoch_end(self, trainer, model):  # where ModelCheckpoint saves by default
        if model.steps == -self.die_at:
            trainer.save_checkpoint(checkpoint)
            os.kill(os.getpid(), signal.SIGKILL)

def train(workers, die_at):
    dataset = open_kind(kind, data, batch_size=4, shuffle=True)
    loader = StreamingDataLoader(dataset, batch_size=4, num_workers=workers)
    logger = CSVLogger(log + "ged", name="", version="", flush_logs_every_n_steps=1) if workers == 1 else False
    trainer = L.Trainer(max_epochs=2, accelerator="cpu", logger=logger, enable_checkpointing=False,
                        enable_progress_bar=False, enable_model_summary=False,
                        callbacks=[Die(die_at), lightning_callback(every=2)])
    trainer.fit(Model(), loader, ckpt_path=checkpoint if os.path.exists(checkpoint) else None)

if __name__ == "__main__":
    for name, kind, workers, die_at in (
        ("stored", "stored", 2, 40),
        ("stored", "stored", 1, 0),
        ("all", "all", 2, 40),
        ("all", "all", 1, 0),
        ("ended", "stored", 0, -30),
        ("ended", "stored", 1, 0),
    ):
        data, log, checkpoint = (path + name for path in paths)
        pid = os.fork()  # of a process that has but imported, which takes longer than the training
        if not pid:
            train(workers, die_at)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


def test_killed_and_resumed(tmp_path: Path) -> None:
    program, paths = tmp_path / "train.py", [str(tmp_path / name) for name in ("data", "log", "checkpoint")]
    program.write_text(PROGRAM)
    runs = (("stored", "stored", 120), ("all", "all", 180), ("ended", "stored", 120))
    for name, _, size in runs:
        write_kinds(paths[0] + name, size)
    _, said, errors = run_program(program, *paths)
    assert said.split() == ["-9", "0"] * 3, errors
    for name, kind, size in runs:
        dataset = open_kind(kind, paths[0] + name, batch_size=4, shuffle=True)
        epochs = [[sample["id"] for sample in dataset] for _ in range(2)]
        assert [sorted(ids) for ids in epochs] == [ids_of(kind, size)] * 2
        whole = [json.dumps([epoch, ids[i : i + 4]]) for epoch, ids in enumerate(epochs) for i in range(0, 120, 4)]
        assert len(set(whole)) == 60
        assert Path(paths[1] + name).read_text().splitlines() == whole
        lines = Path(paths[1] + name + "ged", "metrics.csv").read_text().splitlines()
        assert "streaming/share" in lines[0]
        assert len(lines) == 1 + (15 if name == "ended" else 10)  # of the steps after it was resumed, every second
