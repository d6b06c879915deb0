"""Errors of calls with an argument that does not exist."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from functools import wraps
from typing import Any, TypeVar

from streaming.core.errors import ConfigError

__all__ = ["UnknownArgumentError", "named_arguments"]

F = TypeVar("F", bound=Callable[..., Any])


class UnknownArgumentError(ConfigError, TypeError):
    """A call has an argument by a name that nothing has."""


def named_arguments(function: F) -> F:
    """Have a function with named parameters say what it takes, where it is called by another name.

    Raises:
        UnknownArgumentError: It is; the text says which name may have been meant.
    """
    known = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    ]

    @wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        unknown = kwargs.keys() - set(known)
        if unknown:
            raise _unknown_argument(type(args[0]).__name__, min(unknown), known)
        return function(*args, **kwargs)

    return checked  # pyright: ignore[reportReturnType]


def _unknown_argument(owner: str, name: str, known: list[str]) -> UnknownArgumentError:
    close = get_close_matches(name, known, 1)
    hint = f"Did you mean {close[0]!r}?" if close else f"It takes {', '.join(known)}."
    return UnknownArgumentError(f"{owner} has no argument {name!r}. {hint}")
