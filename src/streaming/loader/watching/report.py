"""What a loader says of itself: a value, and a line to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from statistics import median
from typing import Any

__all__ = ["Report", "Worker", "show_rate", "show_time"]

#: No number of a report is larger: seconds, samples, bytes.
_MOST = 1e18

#: A worker is behind if its batches take so much longer than those of most, and so long at least.
_BEHIND, _LEAST_S = 1.5, 0.001
_ENOUGH = 3


@dataclass(frozen=True)
class Worker:
    """What one worker did.

    Attributes:
        number: Its number in its rank; 0 where there are none.
        batches: Batches of it that training has got.
        seconds: What making them took.
    """

    number: int
    batches: int
    seconds: float

    @property
    def seconds_per_batch(self) -> float:
        """What a batch took, in the mean."""
        return self.seconds / max(1, self.batches)


@dataclass(frozen=True)
class Report:
    """What training on one rank waited for, since its loader was made. ``str()`` makes a line of it.

    Attributes:
        time: When this was said, in seconds since 1970.
        rank: The rank.
        num_ranks: Ranks of the job.
        seconds: How long the loader was iterated.
        batches: Batches that training got.
        samples: Samples that were drawn for them.
        causes: Seconds that training waited for each cause: see the page on metrics.
        p50: Half of the waits for a batch took less: seconds, of the last 8192 batches but the first of each iteration.
        p99: 99 of 100 took less.
        longest: The longest wait, the first batches' included.
        workers: What each worker did.
        counts: What the dataset has counted: :meth:`streaming.StreamingDataset.stats`, of all iterations and datasets that
            share its counters.
    """

    time: float
    rank: int
    num_ranks: int
    seconds: float
    batches: int
    samples: int
    causes: Mapping[str, float]
    p50: float
    p99: float
    longest: float
    workers: tuple[Worker, ...] = ()
    counts: Mapping[str, int | float] = field(default_factory=dict[str, "int | float"])

    @property
    def waited(self) -> float:
        """Seconds that training waited."""
        return sum(self.causes.values())

    @property
    def share(self) -> float:
        """The part of the time that training waited, from 0 to 1."""
        return self.waited / self.seconds if self.seconds else 0.0

    @property
    def samples_per_second(self) -> float:
        """Samples a second."""
        return self.samples / self.seconds if self.seconds else 0.0

    @property
    def batches_per_second(self) -> float:
        """Batches a second."""
        return self.batches / self.seconds if self.seconds else 0.0

    @property
    def cause(self) -> str | None:
        """What training waited for most; ``None`` if it did not wait."""
        return max(self.causes, key=self.causes.__getitem__) if self.waited else None

    @property
    def stragglers(self) -> tuple[int, ...]:
        """The workers whose batches take half as long again as those of most."""
        known = [worker for worker in self.workers if worker.batches >= _ENOUGH]
        if len(known) < 2:
            return ()
        usual = max(_LEAST_S, median(worker.seconds_per_batch for worker in known))
        return tuple(worker.number for worker in known if worker.seconds_per_batch > _BEHIND * usual)

    def since(self, earlier: Report) -> Report:
        """Return what has come since an earlier report of the same loader. Percentiles and workers stay as they are.

        Example:
            >>> loader = StreamingDataLoader(StreamingDataset(local='data', batch_size=16))
            >>> batches = iter(loader)
            >>> _, before, _ = next(batches), loader.report(), next(batches)
            >>> loader.report().since(before).batches
            1
        """
        return replace(
            self,
            seconds=self.seconds - earlier.seconds,
            batches=self.batches - earlier.batches,
            samples=self.samples - earlier.samples,
            causes={cause: spent - earlier.causes.get(cause, 0.0) for cause, spent in self.causes.items()},
        )

    @classmethod
    def from_dict(cls, known: Any) -> Report:
        """Return the report that :meth:`to_dict` has told; keys that it does not know are left out.

        Args:
            known: What JSON holds of it, from anywhere.

        Raises:
            ValueError: It is no report.

        Example:
            >>> loader = StreamingDataLoader(StreamingDataset(local='data', batch_size=16))
            >>> Report.from_dict(loader.report().to_dict()).batches
            0
        """
        whole: dict[str, Any] = {
            name: int(_number(known, name)) for name in ("rank", "num_ranks", "batches", "samples")
        }
        spans: dict[str, Any] = {
            name: float(_number(known, name)) for name in ("time", "seconds", "p50", "p99", "longest")
        }
        causes, counts = (
            {str(name): _number(of, name) for name in of} for of in (_part(known, "causes"), _part(known, "counts"))
        )
        workers = tuple(
            Worker(int(_number(of, "number")), int(_number(of, "batches")), _number(of, "seconds"))
            for of in _part(known, "workers", list)
        )
        return cls(**whole, **spans, causes=causes, workers=workers, counts=counts)

    def to_dict(self) -> dict[str, Any]:
        """Return numbers, text, lists and dicts alone, as JSON has them, with what follows from the attributes.

        Example:
            >>> loader = StreamingDataLoader(StreamingDataset(local='data', batch_size=16))
            >>> batches = list(loader)
            >>> loader.report().to_dict()['samples']
            64
        """
        return {
            **asdict(replace(self, causes=dict(self.causes), counts=dict(self.counts), workers=())),
            "workers": [{**asdict(worker), "seconds_per_batch": worker.seconds_per_batch} for worker in self.workers],
            "waited": self.waited,
            "share": self.share,
            "samples_per_second": self.samples_per_second,
            "batches_per_second": self.batches_per_second,
            "cause": self.cause,
            "stragglers": list(self.stragglers),
        }

    def __str__(self) -> str:
        text = (
            f"rank {self.rank}: {show_rate(self.samples_per_second)} samples/s, "
            f"{show_rate(self.batches_per_second)} batches/s; "
            f"waited {self.share:.1%} of {self.seconds:,.0f} s (p50 {show_time(self.p50)}, p99 {show_time(self.p99)})"
        )
        if self.waited:
            parts = sorted(self.causes.items(), key=lambda part: -part[1])
            shown = [f"{name} {spent / self.waited:.0%}" for name, spent in parts if spent >= 0.01 * self.waited]
            text += f", for {', '.join(shown)}"
        behind = ", ".join(map(str, self.stragglers))
        return text + (f"; behind: worker {behind}" if behind else "")


def show_rate(rate: float) -> str:
    """Return how many a second, as whole numbers where they are large.

    Args:
        rate: A number a second.
    """
    return f"{rate:,.0f}" if rate >= 1000 else f"{rate:.4g}"


def show_time(seconds: float) -> str:
    """Return a time in the unit that fits.

    Args:
        seconds: The time.
    """
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"


def _number(known: Any, name: str) -> Any:
    value = known.get(name) if isinstance(known, dict) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _MOST:
        raise ValueError(f"{name[:40]!r} is not a number as reports have it.")
    return value


def _part(known: Any, name: str, kind: type[Any] = dict) -> Any:
    value = known.get(name) if isinstance(known, dict) else None
    if not isinstance(value, kind):
        raise ValueError(f"{name[:40]!r} is not what reports have there.")
    return value
