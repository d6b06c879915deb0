"""A function for ``collate_fn`` that takes some columns together in ways of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from streaming.core.errors import CollateError
from streaming.loader.explain import collate, explain, have_equal_keys

__all__ = ["Columns"]

Column = Callable[[list[Any]], Any]


class Columns:
    """Makes a batch of samples, some of whose columns are taken together in ways of their own.

    Pass it as ``collate_fn``, to ``StreamingDataLoader`` or PyTorch's. It can be pickled if the functions can, as those of
    :mod:`streaming.collate` can.

    Args:
        how: By column, a function of the list of its values in a batch: :class:`streaming.collate.Pad`,
            :class:`streaming.collate.Keep`, :class:`streaming.collate.Images`, or one of yours. Other columns are collated
            as PyTorch does.

    Example:
        >>> import numpy as np
        >>> from streaming.collate import Columns, Keep, Pad
        >>> collate = Columns(tokens=Pad(), words=Keep())
        >>> batch = collate([
        ...     {'id': 0, 'tokens': np.array([7]), 'words': ['a']},
        ...     {'id': 1, 'tokens': np.array([8, 9]), 'words': []},
        ... ])
        >>> batch['id'], batch['tokens'], batch['words']
        (tensor([0, 1]), tensor([[7, 0],
                [8, 9]]), [['a'], []])
    """

    def __init__(self, **how: Column) -> None:
        self._how = how

    def __call__(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return a batch.

        Args:
            samples: Its samples, which have the same columns.

        Raises:
            CollateError: A named column is missing, or the values of a column do not go together.
        """
        dicts = [dict(sample) for sample in samples]
        if not have_equal_keys(dicts):
            raise explain(dicts)
        first = dicts[0]
        missing = next((name for name in self._how if name not in first), None)
        if missing is not None:
            known = ", ".join(map(repr, first))
            raise CollateError(f"Columns({missing}=...): samples have no column {missing!r}; they have {known}.")
        rest = [{name: value for name, value in sample.items() if name not in self._how} for sample in dicts]
        batch: dict[str, Any] = collate(rest) if rest[0] else {}
        return {name: self._one(name, dicts) if name in self._how else batch[name] for name in first}

    def _one(self, name: str, samples: list[dict[str, Any]]) -> Any:
        try:
            return self._how[name]([sample[name] for sample in samples])
        except CollateError as error:
            raise CollateError(f"Column {name!r}: {error}") from error
