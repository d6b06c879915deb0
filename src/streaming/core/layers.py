"""Classes below that of a dataset, made as they are needed: what serves something else than the dataset itself would.

A layer comes before the class of the dataset that it is put on, a user's own subclass too; everything else stays as it is.
"""

from __future__ import annotations

from functools import cache
from types import new_class
from typing import Any, Generic

from streaming.core.indexing import T_co

__all__ = ["Layer", "layered", "restored", "taken_apart"]


class Layer(Generic[T_co]):  # laid out as datasets are, so that one may become of a layered class
    """One of them. The class of the dataset comes next in the order of resolution."""

    #: Attributes that are made again where they are needed.
    _left_behind: tuple[str, ...] = ()

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle by the class of the dataset, and the layers on it."""
        del protocol
        get_state = getattr(self, "__getstate__", None)
        state: dict[str, Any] = self.__dict__ if get_state is None else get_state()
        state = {name: value for name, value in state.items() if name not in self._left_behind}
        return restored, (*taken_apart(type(self)), state)


@cache
def layered(base: type[Any], *layers: type[Any]) -> type[Any]:
    """Return a dataset's class with layers on it, the innermost first."""
    for layer in layers:
        names = {"__module__": base.__module__, "__doc__": base.__doc__, "__qualname__": base.__qualname__}
        bases = (*_laid_out_as(base), layer, base)
        base = new_class(base.__name__, bases, exec_body=lambda namespace, names=names: namespace.update(names))
    return base


@cache
def _laid_out_as(base: type[Any]) -> tuple[type[Any], ...]:
    """Return an empty class to come first, where a class has objects that are laid out otherwise than a layer's.

    Its first base decides that, as where a mixin comes before the dataset.
    """
    while base.__base__ is not None and base.__base__.__dictoffset__:
        base = base.__base__
    if base.__base__ is None or base.__base__ is Layer.__base__:
        return ()
    return (new_class("Layout", (base.__base__,)),)


def taken_apart(kind: type[Any]) -> tuple[type[Any], tuple[type[Any], ...]]:
    """Return a dataset's class, and the layers on it, the innermost first."""
    layers: list[type[Any]] = []
    while issubclass(kind, Layer):
        *_, layer, kind = kind.__bases__
        layers.append(layer)
    return kind, tuple(reversed(layers))


def restored(base: type[Any], layers: tuple[type[Any], ...], state: dict[str, Any]) -> Any:
    """Return a dataset of a class, with layers on it, in a state."""
    cls: Any = layered(base, *layers)
    made = cls.__new__(cls)
    if hasattr(made, "__setstate__"):
        made.__setstate__(state)
    else:
        made.__dict__.update(state)
    return made
