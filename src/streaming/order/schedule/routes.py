"""Which draw of which stream each position of a run takes, by batching method, and back."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streaming.core.arrays import distinct
from streaming.order.lanes.batching import Seats
from streaming.order.schedule.course import Course
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
        """Return ``int64[I]`` each: canonical node, stream and draw of the stream in the node."""
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
        self._course = Course(steps, num_nodes, spec.shuffle_seed if spec.shuffle else None, size)

    def split(self, position: _Ints) -> tuple[_Ints, _Ints, _Ints]:
        """Return canonical node, stream and draw of positions."""
        element, slot = self._element(position)
        node, stream, local = self._draw(element)
        return node, stream, local * self.size + slot

    def join(self, node: _Ints, stream: int, local: _Ints) -> _Ints:
        """Return the positions."""
        units, slot = np.divmod(local, self.size)
        element = self._find(node, stream, units)
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

    def _draw(self, element: _Ints) -> tuple[_Ints, _Ints, _Ints]:
        """Return canonical node, stream and unit of each element."""
        step = self._course.step_of(element)
        if not len(step) or int(step.min()) == int(step.max()):
            return self._draw_of_step(int(step[0]) if len(step) else 0, element)
        out = np.empty(len(element), np.int64), np.empty(len(element), np.int64), np.empty(len(element), np.int64)
        for one in distinct(step)[0].tolist():
            rows = np.flatnonzero(step == one)
            for column, values in zip(out, self._draw_of_step(one, element[rows]), strict=True):
                column[rows] = values
        return out

    def _draw_of_step(self, step: int, element: _Ints) -> tuple[_Ints, _Ints, _Ints]:
        course = self._course
        index, node = np.divmod(element - course.begin[step], course.num_nodes)
        stream, unit = course.mixer(step).split(course.label(step, node), index)
        return node, stream, course.base[step][node, stream] + unit

    def _find(self, node: _Ints, stream: int, units: _Ints) -> _Ints:
        """Return the element of each unit of one stream, -1 where there is none."""
        course = self._course
        base = course.base[:, :, stream]
        step = np.empty(len(units), np.int64)
        for one in distinct(node)[0].tolist():
            rows = np.flatnonzero(node == one)
            step[rows] = np.searchsorted(base[:, one], units[rows], side="right") - 1
        out = np.full(len(units), -1, np.int64)
        for one in distinct(step)[0].tolist():
            if one == len(course.begin):
                continue
            rows = np.flatnonzero(step == one)
            nodes = node[rows]
            streams = np.full(len(rows), stream, np.int64)
            index = course.mixer(one).join(course.label(one, nodes), streams, units[rows] - base[one][nodes])
            out[rows] = course.begin[one] + index * course.num_nodes + nodes
        return out


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
        return node, stream, local

    def join(self, node: _Ints, stream: int, local: _Ints) -> _Ints:
        """Return the positions."""
        return super().join(np.zeros_like(node), stream, local * self._nodes + node)

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
