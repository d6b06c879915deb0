"""Which draw of which stream each position of a run takes, by batching method, and back."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streaming.order.lanes.batching import Seats
from streaming.order.schedule.course import Course
from streaming.order.schedule.passes import is_small
from streaming.order.spec import OrderSpec
from streaming.order.table import HORIZON, Steps

__all__ = ["METHODS", "ScheduleRoute"]

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

    def _element(self, position: _Ints) -> tuple[_Ints, _Ints]:
        return np.divmod(position, self.size)

    def _position(self, element: _Ints, slot: _Ints) -> _Ints:
        return element * self.size + slot


#: What makes the route of each batching method that goes with schedules.
METHODS: dict[str, type[RandomRoute]] = {
    "random": RandomRoute,
    "per_stream": PerStreamRoute,
    "device_per_stream": DevicePerStreamRoute,
}
