"""Named parameters that several functions share, and errors of calls with one that does not exist."""

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


def named_arguments(shared: Callable[..., Any]) -> Callable[[F], F]:
    """Have a method with named parameters say what it takes, where it is called by another name.

    Args:
        shared: What the method's ``**`` is passed to. Its parameters are shown as the method's own, with their defaults.

    Raises:
        UnknownArgumentError: It is called by another name; the text says which may have been meant.
    """

    def named(function: F) -> F:
        signature = inspect.signature(function)
        own = [parameter for parameter in signature.parameters.values() if parameter.kind is not parameter.VAR_KEYWORD]
        every = [*own, *inspect.signature(shared).parameters.values()]
        known = [parameter.name for parameter in every if parameter.kind is parameter.KEYWORD_ONLY]

        @wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            unknown = kwargs.keys() - set(known)
            if unknown:
                raise _unknown_argument(type(args[0]).__name__, min(unknown), known)
            return function(*args, **kwargs)

        checked.__dict__["__signature__"] = signature.replace(parameters=every)
        return checked  # pyright: ignore[reportReturnType]

    return named


def _unknown_argument(owner: str, name: str, known: list[str]) -> UnknownArgumentError:
    close = get_close_matches(name, known, 1)
    hint = f"Did you mean {close[0]!r}?" if close else f"It takes {', '.join(known)}."
    return UnknownArgumentError(f"{owner} has no argument {name!r}. {hint}")
