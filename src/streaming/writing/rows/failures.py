"""What is told when a function of the user's fails: on what, and where in the user's code."""

from __future__ import annotations

from collections.abc import Callable
from traceback import format_exception, walk_tb
from typing import Any

from streaming.core.errors import InputError

__all__ = ["failed_on"]

# Those that call functions, and the frames of a generator's consumer.
_CALLERS = ("streaming.writing.", "streaming.converting.reading")


def failed_on(what: str, function: Callable[..., Any], error: BaseException) -> InputError:
    """Return the error that tells what a function failed on, why, and in which line of its file.

    Args:
        what: It failed on, such as ``'Input 3 (7)'``.
        function: The function.
        error: What it raised, which becomes the cause.
    """
    name = getattr(function, "__qualname__", type(function).__qualname__)
    message = f"{what}: fn ({name}) failed: {type(error).__name__}: {error}{_place(error)}"
    failure = InputError(message, "".join(format_exception(type(error), error, error.__traceback__)))
    failure.__cause__ = error
    return failure


def _place(error: BaseException) -> str:
    """Return the last line of the file that the function is in, of those that the error came through."""
    frames = [(frame.f_globals.get("__name__", ""), frame.f_code, line) for frame, line in walk_tb(error.__traceback__)]
    while frames and frames[0][0].startswith(_CALLERS):
        del frames[0]
    lines = [(code.co_name, line) for _, code, line in frames if code.co_filename == frames[0][1].co_filename]
    if not lines:
        return ""
    inside, line = lines[-1]
    return f" ({frames[0][1].co_filename}:{line}, in {inside})"
