"""What it takes to build a network client: plain values that any process can be handed."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

__all__ = ["ClientSpec"]


@dataclass(frozen=True, repr=False)
class ClientSpec:
    """A client yet to be built.

    Attributes:
        url: The store's root, fit to be shown.
        builder: ``"module:function"`` that builds the client from ``settings``.
        settings: Keyword arguments of the builder; they may hold secrets, so they are never shown.
        hints: What to advise when an operation fails, by the kind of failure (see ``failures``).
    """

    url: str
    builder: str
    settings: Mapping[str, Any]
    hints: Mapping[str, str]

    def __repr__(self) -> str:
        return f"ClientSpec({self.url})"

    def key(self) -> bytes:
        """Return bytes that are equal for specs that build equal clients."""
        return pickle.dumps((self.builder, sorted(self.settings.items())))

    def build(self) -> Any:
        """Build the client. Does not contact anything."""
        module, _, name = self.builder.partition(":")
        return getattr(import_module(module), name)(**self.settings)
