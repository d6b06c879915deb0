"""Hugging Face Trainer: stopped after a checkpoint, resumed in another process, same batches."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from programs import run_program
from sample_data import ids_of, open_kind, write_kinds

pytestmark = pytest.mark.skipif(
    not (find_spec("transformers") and find_spec("accelerate")), reason="transformers and accelerate are not installed"
)

PROGRAM = """
import json, os, signal, sys, warnings
warnings.simplefilter("ignore")
import torch
from transformers import Trainer, TrainerCallback, TrainingArguments
from sample_data import open_kind
from streaming.trainers.huggingface import StreamingTrainerMixin

paths = sys.argv[1:]

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
    def forward(self, id=None, **others):
        with open(log, "a") as file:
            file.write(json.dumps(id.tolist()) + "\\n")
        return {"loss": self.layer(id.float()[:, None]).mean() * 0}

class Die(TrainerCallback):
    def __init__(self, die_at):
        self.die_at = die_at
    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)

class Streaming(StreamingTrainerMixin, Trainer):
    pass

def collate(samples):
    return {"id": torch.tensor([s["id"] for s in samples])}

def train(workers, save_steps, die_at):
    dataset = open_kind(kind, data, batch_size=4, shuffle=True)
    args = TrainingArguments(output_dir=out, per_device_train_batch_size=4, num_train_epochs=2, save_steps=save_steps,
                             report_to=[], use_cpu=True, disable_tqdm=True, remove_unused_columns=False,
                             logging_strategy="no", dataloader_num_workers=workers)
    trainer = Streaming(Model(), args, train_dataset=dataset, data_collator=collate, callbacks=[Die(die_at)])
    trainer.train(resume_from_checkpoint=os.path.isdir(out) and bool(os.listdir(out)))

if __name__ == "__main__":
    for name, kind, workers, save_steps, die_at in (
        ("stored", "stored", 2, 20, 47),
        ("stored", "stored", 1, 20, 0),
        ("all", "all", 2, 20, 47),
        ("all", "all", 1, 20, 0),
        ("ended", "stored", 0, 30, 31),  # an epoch has 30 steps
        ("ended", "stored", 1, 30, 0),
    ):
        data, log, out = (path + name for path in paths)
        pid = os.fork()  # of a process that has but imported, which takes longer than the training
        if not pid:
            train(workers, save_steps, die_at)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


def test_killed_and_resumed(tmp_path: Path) -> None:
    program, paths = tmp_path / "train.py", [str(tmp_path / name) for name in ("data", "log", "out")]
    program.write_text(PROGRAM)
    runs = (("stored", "stored", 120, 47, 40), ("all", "all", 180, 47, 40), ("ended", "stored", 120, 31, 30))
    for name, _, size, _, _ in runs:
        write_kinds(paths[0] + name, size)
    _, said, errors = run_program(program, *paths)
    lines = [line for line in said.splitlines() if line.lstrip("-").isdigit()]  # the others are by the trainer
    assert lines == ["-9", "0"] * 3, errors
    for name, kind, size, died_at, saved_at in runs:
        dataset = open_kind(kind, paths[0] + name, batch_size=4, shuffle=True)
        epochs = [[sample["id"] for sample in dataset] for _ in range(2)]
        assert [sorted(ids) for ids in epochs] == [ids_of(kind, size)] * 2
        whole = [json.dumps(ids[begin : begin + 4]) for ids in epochs for begin in range(0, 120, 4)]
        assert len(set(whole)) == 60
        # What came after the last checkpoint is done again, nothing else.
        assert Path(paths[1] + name).read_text().splitlines() == whole[:died_at] + whole[saved_at:]
