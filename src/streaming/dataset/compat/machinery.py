"""The original's machinery, which user code may reach for and this library does not have: what to use instead."""

from __future__ import annotations

import warnings
from typing import Any

__all__ = ["no_attribute", "warn_of_machinery"]

_EPOCH = "`dataset.epoch_work(world, epoch)` gives the sample ids of every worker, `inspect_epoch()` those of a batch"
_ITERATE = "iterate `super().__iter__()`, which fetches ahead; `__getitem__` may put the sample's id into the sample"
_WORLD = "`streaming.base.world.World.detect()` says where this process is, `dataset.num_data_ranks` how many ranks"
_RANKS = "pass data_parallel_rank and data_parallel_size, a device_mesh, or replication"

#: What the original iterates by, and this library does not, with what to use instead.
_MACHINERY = {
    "_attach_work": _EPOCH,
    "_create_parallel_rank_world": _RANKS,
    "_create_unique_rank_world": _RANKS,
    "_each_sample_id": _ITERATE,
    "_get_work": _EPOCH,
    "_parallel_rank_world": _WORLD,
    "_parallel_worker_world": _WORLD,
    "_prepare_thread": _ITERATE,
    "_ready_thread": _ITERATE,
    "_resume": "`load_state_dict()` resumes, `next_epoch` and `set_epoch()` say which epoch comes",
    "_resume_incr_epoch": "`load_state_dict()` resumes, `next_epoch` and `set_epoch()` say which epoch comes",
    "_set_shuffle_block_size": "iterating, `epoch_work` and `generate_work` work out the default by themselves",
    "_share_work": _EPOCH,
    "_unique_rank_world": _WORLD,
    "_unique_worker_world": _WORLD,
    "on_exception": "exceptions reach the loop by themselves",
}


def no_attribute(kind: type[Any], name: str) -> AttributeError:
    """Return what to raise for an attribute that there is not."""
    text = f"{kind.__name__!r} object has no attribute {name!r}"
    if name in _MACHINERY:
        text += f", which belongs to how mosaicml-streaming iterates. Instead: {_MACHINERY[name]}"
    return AttributeError(f"{text}." if name in _MACHINERY else text)


def _instead(names: list[str]) -> str:
    return "; ".join(dict.fromkeys(_MACHINERY[name] for name in names))


def warn_of_machinery(cls: type[Any]) -> None:
    """Tell the author of a dataset, where its class is defined, of methods that will not be called or are not here."""
    dead = [name for name in _MACHINERY if name in vars(cls)]
    if dead:
        warnings.warn(
            f"{cls.__name__} overrides {', '.join(dead)}, which iterating does not call. Override `__getitem__` or "
            "`get_item` to change samples; register a shuffle or a batching method to change their order. Instead of "
            f"what it overrides: {_instead(dead)}.",
            stacklevel=3,
        )
    code = getattr(vars(cls).get("__iter__"), "__code__", None)
    missing = [name for name in getattr(code, "co_names", ()) if name in _MACHINERY and not hasattr(cls, name)]
    if missing:
        warnings.warn(
            f"{cls.__name__}.__iter__ uses {', '.join(dict.fromkeys(missing))}, which belong to how mosaicml-streaming "
            f"iterates and are not here. Instead: {_instead(missing)}.",
            stacklevel=3,
        )
