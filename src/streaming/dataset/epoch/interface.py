"""What others ask of a :class:`streaming.StreamingDataset`: no more than this, and nothing private."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from streaming.dataset.epoch.batches import Collator
from streaming.dataset.epoch.epochs import Start
from streaming.dataset.epoch.progress import Reach
from streaming.order.balance.options import Balance

__all__ = ["OrderedDataset", "SampleSource"]

T = TypeVar("T")


class SampleSource(Protocol):
    """What iterating asks: what a sample is.

    Attributes:
        predownload: Samples ahead of the one being served whose shards are fetched.
        on_error: ``'raise'`` or ``'skip'``: what to do about a sample that cannot be read.
    """

    predownload: int
    on_error: str

    def is_plain(self) -> bool:
        """Say whether samples are served as they are stored: not through a method that a subclass brings."""
        ...

    @classmethod
    def has_own_iter(cls) -> bool:
        """Say whether a subclass brings an ``__iter__``, which may give other things than the samples in their order."""
        ...

    def __getitem__(self, at: int, /) -> Any:
        """Return a sample."""
        ...

    def get_item(self, sample_id: int, /) -> Any:
        """Return a sample as it is stored, unless a subclass says otherwise."""
        ...

    def warn_once(self, matter: str, text: str) -> None:
        """Warn, unless this dataset has warned of the same matter, here or in another process that shares it."""
        ...


class OrderedDataset(SampleSource, Protocol):
    """What a loader asks besides: batches at once, and how many samples of the order were consumed.

    Attributes:
        batch_size: Samples of a batch on each rank, by which the order was made.
    """

    batch_size: int | None

    @property
    def num_data_ranks(self) -> int:
        """Number of ranks that get different samples."""
        ...

    @property
    def length(self) -> int:
        """Samples that each rank gets in an epoch."""
        ...

    def iterate_batches(self, collator: Collator[T]) -> Iterator[T]:
        """Yield this worker's batches of the next epoch, where :meth:`is_plain`."""
        ...

    def set_balance(self, balance: Balance | None) -> None:
        """Deal samples over the ranks so that each has as much to do."""
        ...

    def begin_at(self, epoch: int) -> None:
        """Begin with the epoch at which a trainer begins, if nothing else says where."""
        ...

    def set_epoch(self, epoch: int) -> None:
        """Make the next iteration the given epoch."""
        ...

    def epoch_over(self, least: int = 1) -> int | None:
        """Return the epoch that a checkpoint continues, if nothing is left of it."""
        ...

    def hand_out(self, samples: int, least: int) -> None:
        """Note what a loader has handed out to this rank in this iteration."""
        ...

    def present_start(self) -> Start:
        """Return where the present iteration started in its epoch, or, before any, the coming one will."""
        ...

    def number_iteration(self) -> None:
        """Tell workers that are about to be started from those of other iterations."""
        ...

    def drawn_here(self) -> tuple[Start | None, int]:
        """Return where the present iteration of this very process started, and how many samples it has given since."""
        ...

    def reach(self, ahead: int) -> Reach | None:
        """Return where a loader that has begun an iteration is to note how far it is, if anybody wants to know."""
        ...

    def state_dict(self, num_samples: int | None = None, from_beginning: bool = False) -> dict[str, Any]:
        """Return a checkpoint by the samples that training has consumed over all ranks."""
        ...

    def state_of_workers(self, drawn: Sequence[int], position: int | None = None) -> dict[str, Any]:
        """Return a checkpoint by what each ``DataLoader`` worker of this rank has drawn."""
        ...

    def load_state_dict(self, obj: Mapping[str, Any]) -> None:
        """Have the next iteration continue where a checkpoint was made."""
        ...
