"""The registries of the original library, over those that this library reads."""

from __future__ import annotations

from typing import Any

from streaming.base.registry_utils import TypedRegistry, adopt
from streaming.dataset.registry import stream_classes

__all__ = ["streams_registry"]

#: Stream classes by the name that ``StreamingDataset(stream_name=...)`` takes.
streams_registry: TypedRegistry[Any] = adopt(
    TypedRegistry(
        ("streaming", "streams_registry"),
        entry_points=True,
        description="Classes of streams, by the name that a dataset's stream_name takes.",
        entries=stream_classes,
    )
)
