"""A batch of samples that are at hand; or why they do not make one, in words of their columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from streaming.core.errors import CollateError
from streaming.dataset.packs.bins import Bin

__all__ = ["collate", "explain", "have_equal_keys"]

_SHOWN = 4
_DICTS = (dict, Bin)


def collate(samples: Any) -> Any:
    """Return what ``default_collate`` makes of samples, without its warning of arrays that cannot be written.

    Raises:
        CollateError: It makes nothing of them, or would leave out what the first sample has not.
    """
    is_dict = type(samples[0]) in _DICTS
    if is_dict and not have_equal_keys(samples):
        raise explain(samples)
    try:
        if is_dict:
            return {name: _column([sample[name] for sample in samples]) for name in samples[0]}
        return default_collate(samples)
    except Exception as error:
        raise explain(samples) from error


def _column(values: list[Any]) -> Any:
    """Collate the values of a column: arrays, and NumPy's numbers, at once."""
    first = values[0]
    if type(first) is np.ndarray and all(
        type(v) is np.ndarray and v.shape == first.shape and v.dtype == first.dtype for v in values
    ):
        return torch.from_numpy(np.stack(values))
    if isinstance(first, np.generic) and all(type(value) is type(first) for value in values):
        one = default_collate(values[:1])
        array: Any = np.array(values)
        made = torch.from_numpy(array) if type(one) is Tensor else None
        if made is not None and made.dtype == one.dtype:
            return made
    return default_collate(values)


def have_equal_keys(samples: list[dict[str, Any]]) -> bool:
    """Say whether samples have the same columns."""
    keys = samples[0].keys()
    return all(sample.keys() == keys for sample in samples)


def explain(samples: Any) -> CollateError:
    """Return the error for samples that ``default_collate`` does not make a batch of.

    Args:
        samples: The samples.
    """
    found = _of_mappings(list(samples)) or _of_values("The samples", list(samples)) or "The samples do not make a batch"
    helpers = _helpers(list(samples))
    advice = f"Pass collate_fn={helpers} (of streaming.collate) to the loader, or make" if helpers else "Make"
    return CollateError(
        f"{found}. {advice} batches with a function of your own: StreamingDataLoader(dataset, collate_fn=collate, ...), "
        "where collate gets the list of samples, or have `__getitem__` of a subclass of the dataset return tensors of one "
        "shape."
    )


def _helpers(samples: list[Any]) -> str | None:
    """Return what takes together the columns that ``default_collate`` does not; ``None`` if that is not known."""
    if not all(type(sample) in _DICTS for sample in samples) or not have_equal_keys(samples):
        return None
    helpers: dict[str, str] = {}
    for name in samples[0]:
        values = [sample[name] for sample in samples]
        try:
            default_collate(values)
        except Exception:
            helpers[str(name)] = _helper(values)
    named = all(name.isidentifier() for name in helpers)
    inner = ", ".join(f"{name}={helper}" if named else f"{name!r}: {helper}" for name, helper in helpers.items())
    return f"Columns({inner})" if named else f"Columns(**{{{inner}}})"


def _helper(values: list[Any]) -> str:
    if all(isinstance(value, (np.ndarray, Tensor)) for value in values):
        kinds = {(value.ndim, str(value.dtype)) for value in values}
        return "Pad()" if len(kinds) == 1 and len({value.shape for value in values}) > 1 else "Keep()"
    if any("Image" in type(value).__name__ for value in values):
        return "Images()" if all("Image" in type(value).__name__ for value in values) else "Keep()"
    return "Keep()"


def _of_mappings(samples: list[Any]) -> str | None:
    if not all(isinstance(sample, Mapping) for sample in samples):
        return None
    columns: dict[Any, None] = dict.fromkeys(name for sample in samples for name in sample)
    for name in columns:
        missing = sum(name not in sample for sample in samples)
        if missing:
            return f"Column {name!r} is missing in {missing} of {len(samples)} samples of a batch, so it cannot be collated"
    for name in columns:
        values = [sample[name] for sample in samples]
        try:
            default_collate(values)
        except Exception:
            return _of_values(f"Column {name!r}", values)
    return None


def _of_values(what: str, values: list[Any]) -> str:
    """Return what is wrong with the values of a column."""
    kinds = sorted({type(value).__name__ for value in values})
    if any(value is None for value in values):
        empty = sum(value is None for value in values)
        return f"{what} is None in {empty} of {len(values)} samples of a batch, and None cannot be collated"
    if all(isinstance(value, (np.ndarray, Tensor)) for value in values):
        shapes = list(dict.fromkeys(tuple(value.shape) for value in values))
        if len(shapes) > 1:
            return (
                f"{what} holds arrays of different shapes ({_some(shapes)}), which cannot be stacked: pad or pack them"
            )
        return f"{what} holds arrays of {_some(sorted({str(value.dtype) for value in values}))}, which make no tensor"
    nested = _of_mappings(values)
    if nested is not None:
        return f"{what} holds dicts: {nested[0].lower()}{nested[1:]}"
    if len(kinds) == 1 and kinds[0] in ("list", "tuple", "dict"):
        lengths = sorted({len(value) for value in values})
        if len(lengths) > 1:
            return f"{what} holds {kinds[0]}s of different lengths ({_some(lengths)}), which cannot be collated"
    if any("Image" in kind for kind in kinds):
        return f"{what} holds images ({_some(kinds)}), which PyTorch does not make tensors of: convert them"
    return f"{what} holds {_some(kinds)}, which PyTorch's default_collate does not take together"


def _some(values: list[Any]) -> str:
    shown = ", ".join(map(str, values[:_SHOWN]))
    return f"{shown}, ..." if len(values) > _SHOWN else shown
