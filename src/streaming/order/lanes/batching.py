"""Batching methods: which draw of which stream is served at each position of the epoch.

A route takes positions to (canonical node, stream, local index of the stream in that node) and back. Except for
``'random'``, positions come in whole global batches, and what does not fill one is dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streaming.core.errors import ConfigError
from streaming.core.registry import Registry
from streaming.order.lanes.keys import Purpose, derive
from streaming.order.lanes.mixing import Mixer
from streaming.order.lanes.striping import Parts, Striping
from streaming.order.spec import OrderSpec

__all__ = [
    "DevicePerStreamRoute",
    "PerStreamRoute",
    "RandomRoute",
    "Route",
    "Seats",
    "StratifiedRoute",
    "batching_methods",
]

_Ints = NDArray[np.int64]


class Route(Protocol):
    """What a batching method provides.

    Attributes:
        total: Positions of the epoch.
    """

    total: int

    @property
    def striping(self) -> Parts:
        """The canonical nodes' parts of the streams."""
        ...

    def split(self, position: _Ints) -> tuple[_Ints, _Ints, _Ints]:
        """Return canonical node, stream and local index of positions."""
        ...

    def join(self, node: _Ints, stream: _Ints, local: _Ints) -> _Ints:
        """Return the positions, ``total`` or more for what is dropped (the inverse of ``split``)."""
        ...

    def window(self, node: _Ints, stream: _Ints, first: _Ints, last: _Ints) -> tuple[_Ints, _Ints]:
        """Return positions between which all local indexes in ``[first, last]`` are served, few too many."""
        ...


class RandomRoute:
    """Every stretch of a canonical node holds the streams in proportion; nothing is dropped."""

    def __init__(self, spec: OrderSpec, epoch: int, global_batch_size: int) -> None:
        del global_batch_size
        self._num_nodes = spec.num_canonical_nodes
        self._mixer = Mixer(spec.choose, self._num_nodes, _keys(spec, epoch, self._num_nodes))
        self.total: int = spec.epoch_size
        self.striping: Striping = Striping(self._num_nodes, self._mixer.origin, spec.choose)

    def split(self, position: _Ints) -> tuple[_Ints, _Ints, _Ints]:
        """Return canonical node, stream and local index of positions."""
        index, node = np.divmod(position, self._num_nodes)
        stream, local = self._mixer.split(node, index)
        return node, stream, local

    def join(self, node: _Ints, stream: _Ints, local: _Ints) -> _Ints:
        """Return the positions."""
        return self._mixer.join(node, stream, local) * self._num_nodes + node

    def window(self, node: _Ints, stream: _Ints, first: _Ints, last: _Ints) -> tuple[_Ints, _Ints]:
        """Return positions between which all local indexes in ``[first, last]`` are served."""
        low, high = self._mixer.window(node, stream, first, last)
        return low * self._num_nodes + node, high * self._num_nodes + node


class StratifiedRoute:
    """Every global batch holds a fixed number of samples of each stream, spread evenly over the devices."""

    def __init__(self, spec: OrderSpec, epoch: int, global_batch_size: int) -> None:
        del epoch
        self._batch = global_batch_size
        self._share = _shares(spec, global_batch_size)
        self._mixer = Mixer(self._share, 1, None)
        batches = int((spec.choose // self._share).min())
        _check_batches(batches, int((spec.choose // self._share).argmin()), spec)
        self.total: int = batches * global_batch_size
        self._seats = Seats(spec, global_batch_size)
        self.striping: Striping = _alone(spec)

    def split(self, position: _Ints) -> tuple[_Ints, _Ints, _Ints]:
        """Return canonical node, stream and local index of positions."""
        batch, device, slot = self._seats.split(position)
        seat = device * self._seats.per_device + slot
        stream, index = self._mixer.split(np.zeros_like(seat), seat)
        return _node_of(self.striping, stream, batch * self._share[stream] + index)

    def join(self, node: _Ints, stream: _Ints, local: _Ints) -> _Ints:
        """Return the positions."""
        batch, index = np.divmod(local * self.striping.num_nodes + node, self._share[stream])
        seat = self._mixer.join(np.zeros_like(index), stream, index)
        device, slot = np.divmod(seat, self._seats.per_device)
        return self._seats.join(batch, device, slot)

    def window(self, node: _Ints, stream: _Ints, first: _Ints, last: _Ints) -> tuple[_Ints, _Ints]:
        """Return positions between which all local indexes in ``[first, last]`` are served."""
        return _whole_batches(self._batch, self.join(node, stream, first), self.join(node, stream, last))


class PerStreamRoute:
    """Every global batch holds samples of one stream."""

    def __init__(self, spec: OrderSpec, epoch: int, global_batch_size: int) -> None:
        self._batch = global_batch_size
        batches = spec.choose // global_batch_size
        _check_batches(int(batches.min()), int(batches.argmin()), spec)
        self._mixer = Mixer(batches, 1, _keys(spec, epoch, 1))
        self.total: int = int(batches.sum()) * global_batch_size
        self.striping: Striping = _alone(spec)

    def split(self, position: _Ints) -> tuple[_Ints, _Ints, _Ints]:
        """Return canonical node, stream and local index of positions."""
        batch, slot = np.divmod(position, self._batch)
        stream, turn = self._mixer.split(np.zeros_like(batch), batch)
        return _node_of(self.striping, stream, turn * self._batch + slot)

    def join(self, node: _Ints, stream: _Ints, local: _Ints) -> _Ints:
        """Return the positions."""
        turn, slot = np.divmod(local * self.striping.num_nodes + node, self._batch)
        batch = self._mixer.join(np.zeros_like(turn), stream, turn)
        return np.where(turn < self._turns(stream), batch * self._batch + slot, np.maximum(self.total, 1))

    def window(self, node: _Ints, stream: _Ints, first: _Ints, last: _Ints) -> tuple[_Ints, _Ints]:
        """Return positions between which all local indexes in ``[first, last]`` are served."""
        size, nodes = self._batch, self.striping.num_nodes
        turns = self._turns(stream)
        low, high = (first * nodes + node) // size, (last * nodes + node) // size
        none = np.zeros_like(low)
        begin, end = self._mixer.window(none, stream, np.minimum(low, turns - 1), np.minimum(high, turns - 1))
        begin = np.where(low < turns, begin * size, self.total)
        return begin, end * size + size - 1

    def _turns(self, stream: _Ints) -> _Ints:
        return self.striping.count[stream] // self._batch


class DevicePerStreamRoute:
    """Every batch of every device holds samples of one stream; global batches hold the streams in proportion."""

    def __init__(self, spec: OrderSpec, epoch: int, global_batch_size: int) -> None:
        self._seats = Seats(spec, global_batch_size)
        self._batch = global_batch_size
        unit, num_nodes = spec.batch_size, spec.num_canonical_nodes
        units = spec.choose // unit
        _check_batches(int(units.min()), int(units.argmin()), spec)
        self._mixer = Mixer(units, num_nodes, _keys(spec, epoch, num_nodes))
        batches = int(units.sum()) // self._seats.num_devices
        if not batches:
            raise ConfigError(
                f"device_per_stream finds no full batch: {int(units.sum())} batches of {unit} samples cannot "
                f"serve {self._seats.num_devices} devices. Use fewer devices or a smaller batch_size."
            )
        self.total: int = batches * global_batch_size
        self.striping: Striping = Striping(num_nodes, self._mixer.origin, units, unit)

    def split(self, position: _Ints) -> tuple[_Ints, _Ints, _Ints]:
        """Return canonical node, stream and local index of positions."""
        batch, device, slot = self._seats.split(position)
        index, node = np.divmod(batch * self._seats.num_devices + device, self.striping.num_nodes)
        stream, unit = self._mixer.split(node, index)
        return node, stream, unit * self.striping.unit + slot

    def join(self, node: _Ints, stream: _Ints, local: _Ints) -> _Ints:
        """Return the positions."""
        unit, slot = np.divmod(local, self.striping.unit)
        turn = self._mixer.join(node, stream, unit) * self.striping.num_nodes + node
        batch, device = np.divmod(turn, self._seats.num_devices)
        return self._seats.join(batch, device, slot)

    def window(self, node: _Ints, stream: _Ints, first: _Ints, last: _Ints) -> tuple[_Ints, _Ints]:
        """Return positions between which all local indexes in ``[first, last]`` are served."""
        unit, nodes = self.striping.unit, self.striping.num_nodes
        low, high = self._mixer.window(node, stream, first // unit, last // unit)
        devices = self._seats.num_devices
        return (
            (low * nodes + node) // devices * self._batch,
            ((high * nodes + node) // devices + 1) * self._batch - 1,
        )


#: Batching methods by name.
batching_methods: Registry[Callable[[OrderSpec, int, int], Route]] = Registry(
    "batching method",
    {
        "random": f"{__name__}:RandomRoute",
        "stratified": f"{__name__}:StratifiedRoute",
        "per_stream": f"{__name__}:PerStreamRoute",
        "device_per_stream": f"{__name__}:DevicePerStreamRoute",
    },
)


class Seats:
    """Positions of a global batch as (device, slot): devices take turns."""

    def __init__(self, spec: OrderSpec, global_batch_size: int) -> None:
        if global_batch_size % spec.batch_size:
            raise ConfigError(
                f"The global batch of {global_batch_size} samples must be a multiple of batch_size {spec.batch_size}."
            )
        self.size = global_batch_size
        self.per_device = spec.batch_size
        self.num_devices = global_batch_size // spec.batch_size

    def split(self, position: _Ints) -> tuple[_Ints, _Ints, _Ints]:
        """Return global batch, device and slot of positions."""
        row, device = np.divmod(position, self.num_devices)
        batch, slot = np.divmod(row, self.per_device)
        return batch, device, slot

    def join(self, batch: _Ints, device: _Ints, slot: _Ints) -> _Ints:
        """Return the positions."""
        return (batch * self.per_device + slot) * self.num_devices + device


def _keys(spec: OrderSpec, epoch: int, count: int) -> NDArray[np.uint64] | None:
    if not spec.shuffle:
        return None
    keys = [derive(spec.shuffle_seed, Purpose.STREAM_MIXING, epoch, c) for c in range(count)]
    return np.array(keys, np.uint64)


def _alone(spec: OrderSpec) -> Striping:
    """Each stream is striped over the canonical nodes by itself."""
    return Striping(spec.num_canonical_nodes, np.zeros_like(spec.choose), spec.choose)


def _node_of(striping: Striping, stream: _Ints, draw: _Ints) -> tuple[_Ints, _Ints, _Ints]:
    local, node = np.divmod(draw, striping.num_nodes)
    return node, stream, local


def _whole_batches(size: int, first: _Ints, last: _Ints) -> tuple[_Ints, _Ints]:
    return first // size * size, last // size * size + size - 1


def _shares(spec: OrderSpec, global_batch_size: int) -> _Ints:
    ideal = spec.proportion * global_batch_size
    share = ideal.astype(np.int64)
    missing = global_batch_size - int(share.sum())
    if missing > 0:
        share[np.argsort(share - ideal, kind="stable")[:missing]] += 1
    if not share.all():
        stream = int(share.argmin())
        raise ConfigError(
            f"stratified batching gives stream {stream}, of proportion {float(spec.proportion[stream])}, no sample of a "
            f"global batch of {global_batch_size}. Make the batch or the proportion larger, or use 'random'."
        )
    return share


def _check_batches(batches: int, stream: int, spec: OrderSpec) -> None:
    if batches < 1:
        raise ConfigError(
            f"{spec.batching_method} batching finds no full batch in stream {stream}, from which an epoch draws "
            f"{int(spec.choose[stream])} samples. Draw more from it, make the batch smaller, or use 'random'."
        )
