"""Which draw of which stream each position of a run takes, by batching method, and back."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streaming.core.arrays import distinct
from streaming.core.errors import ConfigError
from streaming.order.lanes.batching import Seats
from streaming.order.lanes.mixing import BLOCK, Mixer
from streaming.order.schedule.course import Course, shares
from streaming.order.schedule.passes import is_small
from streaming.order.spec import OrderSpec
from streaming.order.table import HORIZON, Steps, steps_of

__all__ = ["METHODS", "ScheduleRoute", "check_weights"]

_Ints = NDArray[np.int64]
_Floats = NDArray[np.float64]


class ScheduleRoute(Protocol):
    """What a batching method provides. Legend: I positions, K streams.

    Attributes:
        unit: Draws of a stream that stay together on a canonical node.
        size: Draws of a stream that come together.
    """

    unit: int
    size: int

    def __init__(self, spec: OrderSpec, steps: Steps, global_batch: int) -> None: ...

    def split(self, position: _Ints) -> tuple[_Ints, _Ints, _Ints]:
        """Return ``int64[I]`` each: canonical node, stream and draw of the stream.

        Draws of a small stream are numbered over all canonical nodes, those of others in each.
        """
        ...

    def join(self, node: _Ints, stream: int, local: _Ints) -> _Ints:
        """Return the positions of draws of one stream, ``HORIZON`` where it never gives as many."""
        ...

    def given(self, position: int) -> _Ints:
        """Return ``int64[K]``: draws of each stream before a position, which is at a whole global batch."""
        ...

    def weights(self, position: int) -> _Floats:
        """Return ``float64[K]``: the streams' shares at a position."""
        ...

    def astray(self, stream: int) -> _Ints:
        """Return ``int64[A]``, ascending: how many draws later in a canonical node may be one that comes earlier.

        Where a step ends before its time, some draws of the block in which it does have come, and those before them come in
        steps after it. In each stretch of as many draws as from one entry to the next, all come together.
        """
        ...


class RandomRoute:
    """Every stretch of a canonical node holds the streams in proportion."""

    def __init__(self, spec: OrderSpec, steps: Steps, global_batch: int) -> None:
        del global_batch
        self._make(spec, steps, 1, spec.num_canonical_nodes)

    def _make(self, spec: OrderSpec, steps: Steps, size: int, num_nodes: int) -> None:
        self.unit: int = size
        self.size: int = size
        self._whole = is_small(spec.samples_per_stream)
        self._course = Course(steps, num_nodes, spec.shuffle_seed if spec.shuffle else None, size, self._whole)
        self._block = BLOCK * size if (steps.until < steps.end).any() else 0

    def split(self, position: _Ints) -> tuple[_Ints, _Ints, _Ints]:
        """Return canonical node, stream and draw of positions."""
        element, slot = self._element(position)
        node, stream, number = self._course.draws(element)
        return node, stream, number * self.size + slot

    def join(self, node: _Ints, stream: int, local: _Ints) -> _Ints:
        """Return the positions."""
        number, slot = np.divmod(local, self.size)
        element = self._course.find(node, stream, number)
        position = self._position(np.maximum(element, 0), slot)
        return np.where(element < 0, HORIZON, position)

    def given(self, position: int) -> _Ints:
        """Return the draws of each stream before a position."""
        return self._course.given(position // self.size) * self.size

    def weights(self, position: int) -> _Floats:
        """Return the streams' shares at a position."""
        return self._course.weights(position // self.size)

    def astray(self, stream: int) -> _Ints:
        """Return by how many draws the order may be another."""
        block = self._block * (self._course.num_nodes if self._whole[stream] else 1)
        return np.arange(self.size, block + 1, self.size)

    def _element(self, position: _Ints) -> tuple[_Ints, _Ints]:
        return position, np.zeros_like(position)

    def _position(self, element: _Ints, slot: _Ints) -> _Ints:
        return element + slot


class DevicePerStreamRoute(RandomRoute):
    """Every batch of every device holds samples of one stream; global batches hold the streams in proportion."""

    def __init__(self, spec: OrderSpec, steps: Steps, global_batch: int) -> None:
        self._seats = Seats(spec, global_batch)
        self._make(spec, steps, spec.batch_size, spec.num_canonical_nodes)

    def _element(self, position: _Ints) -> tuple[_Ints, _Ints]:
        batch, device, slot = self._seats.split(position)
        return batch * self._seats.num_devices + device, slot

    def _position(self, element: _Ints, slot: _Ints) -> _Ints:
        batch, device = np.divmod(element, self._seats.num_devices)
        return self._seats.join(batch, device, slot)


class PerStreamRoute(RandomRoute):
    """Every global batch holds samples of one stream; canonical nodes take its samples in turn."""

    def __init__(self, spec: OrderSpec, steps: Steps, global_batch: int) -> None:
        self._make(spec, steps, global_batch, 1)
        self._nodes = spec.num_canonical_nodes
        self.unit: int = 1

    def split(self, position: _Ints) -> tuple[_Ints, _Ints, _Ints]:
        """Return canonical node, stream and draw of positions."""
        _, stream, draw = super().split(position)
        local, node = np.divmod(draw, self._nodes)
        return node, stream, np.where(self._whole[stream], draw, local)

    def join(self, node: _Ints, stream: int, local: _Ints) -> _Ints:
        """Return the positions."""
        draw = local if self._whole[stream] else local * self._nodes + node
        return super().join(np.zeros_like(node), stream, draw)

    def astray(self, stream: int) -> _Ints:
        """Return by how many draws the order may be another."""
        each = 1 if self._whole[stream] else self._nodes
        stride = max(1, self.size // each)
        return np.arange(stride, -(-self._block // each) + stride, stride)

    def _element(self, position: _Ints) -> tuple[_Ints, _Ints]:
        return np.divmod(position, self.size)

    def _position(self, element: _Ints, slot: _Ints) -> _Ints:
        return element * self.size + slot


class StratifiedRoute:
    """Every global batch of a step holds a fixed number of samples of each stream, spread evenly over the devices."""

    unit: int = 1
    size: int = 1

    def __init__(self, spec: OrderSpec, steps: Steps, global_batch: int) -> None:
        self._seats = Seats(spec, global_batch)
        self._nodes = spec.num_canonical_nodes
        self._whole = is_small(spec.samples_per_stream)
        self._begin: _Ints = steps.begin // global_batch
        self._weights = steps.weights
        self._share = strata(spec, steps, global_batch)
        given = self._share * (np.append(self._begin[1:], HORIZON // global_batch) - self._begin)[:, None]
        self._given: _Ints = np.concatenate([np.zeros_like(given[:1]), np.cumsum(given, 0)])
        self._mixers = [Mixer(share, 1, None) for share in self._share]

    def split(self, position: _Ints) -> tuple[_Ints, _Ints, _Ints]:
        """Return canonical node, stream and draw of positions."""
        batch, device, slot = self._seats.split(position)
        step = self._step_of(batch)
        seat = device * self._seats.per_device + slot
        stream, draw = np.empty_like(seat), np.empty_like(seat)
        for one in distinct(step)[0].tolist():
            rows = np.flatnonzero(step == one)
            stream[rows], index = self._mixers[one].split(np.zeros_like(rows), seat[rows])
            before = (batch[rows] - self._begin[one]) * self._share[one, stream[rows]]
            draw[rows] = self._given[one, stream[rows]] + before + index
        local, node = np.divmod(draw, self._nodes)
        return node, stream, np.where(self._whole[stream], draw, local)

    def join(self, node: _Ints, stream: int, local: _Ints) -> _Ints:
        """Return the positions."""
        draw = local if self._whole[stream] else local * self._nodes + node
        step = np.searchsorted(self._given[:, stream], draw, side="right") - 1
        out = np.full(len(draw), HORIZON, np.int64)
        for one in distinct(step)[0].tolist():
            if one == len(self._begin):
                continue
            rows = np.flatnonzero(step == one)
            batch, index = np.divmod(draw[rows] - self._given[one, stream], self._share[one, stream])
            seat = self._mixers[one].join(np.zeros_like(rows), np.full_like(rows, stream), index)
            out[rows] = self._seats.join(batch + self._begin[one], *np.divmod(seat, self._seats.per_device))
        return out

    def given(self, position: int) -> _Ints:
        """Return the draws of each stream before a position."""
        batch = np.array([position // self._seats.size], np.int64)
        step = int(self._step_of(batch)[0])
        return self._given[step] + self._share[step] * (batch - self._begin[step])

    def weights(self, position: int) -> _Floats:
        """Return the streams' shares at a position."""
        return self._weights[int(self._step_of(np.array([position // self._seats.size], np.int64))[0])]

    def astray(self, stream: int) -> _Ints:
        """Return nothing: a global batch is never cut."""
        del stream
        return np.empty(0, np.int64)

    def _step_of(self, batch: _Ints) -> _Ints:
        return np.searchsorted(self._begin, batch, side="right") - 1


def strata(spec: OrderSpec, steps: Steps, global_batch: int) -> _Ints:
    """Return ``int64[T, K]``: samples of each stream in the global batches of each step.

    Raises:
        ConfigError: A stream with a weight that stays would have none.
    """
    out = np.zeros(steps.weights.shape, np.int64)
    lack = np.zeros(spec.num_streams, np.float64)
    for step, (begin, until, weights) in enumerate(zip(steps.begin, steps.until, steps.weights, strict=True)):
        out[step] = shares(weights, global_batch, lack)
        lack += (weights * global_batch - out[step]) * ((until - begin) // global_batch)
    for record in spec.table:
        step = int(np.searchsorted(steps.begin, record.begin))
        none = np.flatnonzero((out[step] == 0) & (steps.weights[step] > 0))
        if record.to is None and len(none):
            raise ConfigError(
                f"stratified batching gives stream {none[0]}, whose share is {record.weights[none[0]]:.6g} from sample "
                f"{record.begin} of the run on, no sample of a global batch of {global_batch}. Make the batch or the share "
                "larger, or use 'random'."
            )
    return out


def check_weights(spec: OrderSpec, global_batch: int) -> None:
    """Check that the streams can have the weights of a table.

    Raises:
        ConfigError: A stream without samples has one, or one that is too small for the batching method.
    """
    steps = steps_of(spec.table, global_batch)
    empty = np.flatnonzero((steps.weights > 0).any(0) & (spec.samples_per_stream == 0))
    if len(empty):
        raise ConfigError(f"Stream {empty[0]} has no samples but a weight in the schedule. Give it none.")
    if METHODS[spec.batching_method] is StratifiedRoute:
        strata(spec, steps, global_batch)


#: What makes the route of each batching method that goes with schedules.
METHODS: dict[str, type[ScheduleRoute]] = {
    "random": RandomRoute,
    "stratified": StratifiedRoute,
    "per_stream": PerStreamRoute,
    "device_per_stream": DevicePerStreamRoute,
}
