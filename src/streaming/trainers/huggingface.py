"""Hugging Face ``Trainer``: stream without being sharded again, and resume exactly.

from transformers import Trainer
from streaming.trainers.huggingface import StreamingTrainerMixin

class MyTrainer(StreamingTrainerMixin, Trainer):
    pass
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, cast

from streaming.dataset.dataset import StreamingDataset
from streaming.loader.loader import StreamingDataLoader

__all__ = ["STATE_NAME", "StreamingTrainerMixin"]

#: File in each of the trainer's checkpoints that holds the dataset's.
STATE_NAME = "streaming_state.json"


class StreamingTrainerMixin:
    """Mix into ``transformers.Trainer``, before it in the list of bases.

    With a :class:`StreamingDataset` as ``train_dataset`` (its ``batch_size`` the per-device batch size), training reads a
    :class:`StreamingDataLoader` that the trainer does not wrap: the dataset splits itself over ranks already. Checkpoints
    hold the dataset's state, and resuming continues with the next batch instead of reading up to it. Other datasets are
    served as ever.
    """

    _streaming_state: Mapping[str, Any] | None = None
    _streaming_loader: StreamingDataLoader | None = None

    def get_train_dataloader(self) -> Any:
        """Return the loader of the training data."""
        this = cast(Any, self)
        if not isinstance(this.train_dataset, StreamingDataset):
            return cast(Any, super()).get_train_dataloader()
        args = this.args
        workers = args.dataloader_num_workers
        loader = StreamingDataLoader(
            this.train_dataset,
            batch_size=this._train_batch_size,
            collate_fn=this.data_collator,
            num_workers=workers,
            pin_memory=args.dataloader_pin_memory,
            drop_last=args.dataloader_drop_last,
            persistent_workers=bool(workers) and args.dataloader_persistent_workers,
        )
        loader.load_state_dict(self._streaming_state)
        loader.skip_epoch_over()  # the trainer would stop for want of batches
        self._streaming_state = None
        self._streaming_loader = loader
        return loader

    def train(
        self,
        resume_from_checkpoint: str | bool | None = None,
        trial: Any = None,
        ignore_keys_for_eval: list[str] | None = None,
    ) -> Any:
        """Train, from a checkpoint if one is named; see ``transformers.Trainer.train``."""
        this = cast(Any, self)
        path = resume_from_checkpoint
        if path is True:
            from transformers.trainer_utils import get_last_checkpoint

            path = get_last_checkpoint(this.args.output_dir)
        if path and isinstance(this.train_dataset, StreamingDataset):
            with open(os.path.join(path, STATE_NAME)) as file:
                self._streaming_state = json.load(file)
            this.args.ignore_data_skip = True  # the dataset is there already
        return cast(Any, super()).train(resume_from_checkpoint, trial, ignore_keys_for_eval)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Save as the trainer does, and the dataset's state beside it."""
        this = cast(Any, self)
        cast(Any, super())._save_checkpoint(model, trial)
        if self._streaming_loader is None or not this.args.should_save:
            return
        folder = os.path.join(this._get_output_dir(trial=trial), f"checkpoint-{this.state.global_step}")
        part = os.path.join(folder, f"{STATE_NAME}.part")
        with open(part, "w") as file:
            json.dump(self._streaming_loader.state_dict(), file)
        os.replace(part, os.path.join(folder, STATE_NAME))
