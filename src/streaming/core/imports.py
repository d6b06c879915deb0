"""Import an optional package, or say how to install it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from streaming.core.errors import MissingDependencyError

__all__ = ["optional_import"]


def optional_import(module: str, extra: str, purpose: str) -> Any:
    """Import ``module``.

    Args:
        module: Dotted name of the module.
        extra: The extra of this distribution that installs it.
        purpose: What needs it, for the error text.

    Returns:
        The module.

    Raises:
        MissingDependencyError: It is not installed; the text names the extra.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"{purpose} needs the package {module.partition('.')[0]!r} ({error}). "
            f"Install it with: pip install 'streaming-dataset[{extra}]'"
        ) from error
