"""Loggers and trainers: each is handed the same numbers. No framework is imported before it is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streaming.core.imports import optional_import
from streaming.loader.loader import StreamingDataLoader
from streaming.metrics.scalars import Reporter

__all__ = ["composer_callback", "huggingface_callback", "lightning_callback", "to_tensorboard", "to_wandb"]

Log = Callable[[dict[str, float], int], object]


def to_tensorboard(writer: Any) -> Log:
    """Return what logs numbers to TensorBoard, for :class:`Reporter`.

    Args:
        writer: A ``torch.utils.tensorboard.SummaryWriter``, or one like it.

    Example:
        >>> class Writer:
        ...     def add_scalar(self, name, value, step):
        ...         print(name, value, step)
        >>> to_tensorboard(Writer())({'streaming/share': 0.25}, 3)
        streaming/share 0.25 3
    """

    def log(numbers: dict[str, float], step: int) -> None:
        for name, value in numbers.items():
            writer.add_scalar(name, value, step)

    return log


def to_wandb(run: Any) -> Log:
    """Return what logs numbers to Weights & Biases, for :class:`Reporter`.

    They are committed with what the program logs next of the same step, or of a later one.

    Args:
        run: What ``wandb.init()`` returned.

    Example:
        >>> class Run:
        ...     def log(self, numbers, step, commit):
        ...         print(numbers, step, commit)
        >>> to_wandb(Run())({'streaming/share': 0.25}, 3)
        {'streaming/share': 0.25} 3 False
    """

    def log(numbers: dict[str, float], step: int) -> None:
        run.log(numbers, step=step, commit=False)

    return log


def lightning_callback(loader: StreamingDataLoader | None = None, every: int = 50) -> Any:
    """Return a callback for Lightning's ``Trainer``, which logs to all of its loggers.

    Args:
        loader: The loader, by default the trainer's ``train_dataloader``.
        every: Batches between.

    Raises:
        MissingDependencyError: ``lightning`` is not installed.
    """
    base: Any = optional_import("lightning.pytorch.callbacks", "trainers", "lightning_callback").Callback

    class StreamingReport(base):
        reporter: Reporter | None = None

        def on_train_batch_end(self, trainer: Any, *args: Any, **kwargs: Any) -> None:
            del args, kwargs

            def log(numbers: dict[str, float], step: int) -> None:
                for logger in trainer.loggers:
                    logger.log_metrics(numbers, step)

            self.reporter = _step(self.reporter, loader or trainer.train_dataloader, log, every, trainer.global_step)

    return StreamingReport()


def huggingface_callback(log: Log, loader: StreamingDataLoader | None = None, every: int = 50) -> Any:
    """Return a callback for Hugging Face's ``Trainer``.

    Args:
        log: Where numbers go, of :func:`to_wandb` or :func:`to_tensorboard`, say.
        loader: The loader, by default the one that is trained from: see
            :class:`streaming.trainers.huggingface.StreamingTrainerMixin`.
        every: Steps between.

    Raises:
        MissingDependencyError: ``transformers`` is not installed.
    """
    base: Any = optional_import("transformers", "trainers", "huggingface_callback").TrainerCallback

    class StreamingReport(base):
        reporter: Reporter | None = None

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            del args, control
            source = loader or kwargs.get("train_dataloader")
            self.reporter = _step(self.reporter, source, log, every, state.global_step)

    return StreamingReport()


def composer_callback(loader: StreamingDataLoader | None = None, every: int = 50) -> Any:
    """Return a callback for Composer's ``Trainer``, which logs to all of its destinations.

    Args:
        loader: The loader, by default the one that is trained from.
        every: Batches between.

    Raises:
        MissingDependencyError: ``composer`` is not installed.
    """
    base: Any = optional_import("composer", "trainers", "composer_callback").Callback

    class StreamingReport(base):
        reporter: Reporter | None = None

        def batch_end(self, state: Any, logger: Any) -> None:
            def log(numbers: dict[str, float], step: int) -> None:
                logger.log_metrics(numbers, step=step)

            step = int(state.timestamp.batch)
            self.reporter = _step(self.reporter, loader or state.dataloader, log, every, step)

    return StreamingReport()


def _step(reporter: Reporter | None, loader: Any, log: Log, every: int, step: int) -> Reporter | None:
    """Note a step with the reporter of a trainer's loader, made at its first; other loaders have nothing to tell."""
    if not isinstance(loader, StreamingDataLoader):
        return reporter
    reporter = Reporter(loader, log, every) if reporter is None or not reporter.is_of(loader) else reporter
    reporter.step(step)
    return reporter
