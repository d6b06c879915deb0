"""Stream classes by name, open to third parties."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from streaming.core.arguments import as_text
from streaming.core.registry import Registry

if TYPE_CHECKING:
    from streaming.dataset.stream import Stream

__all__ = ["make_stream", "stream_classes"]

stream_classes: Registry[type[Stream]] = Registry(
    "stream class", {"stream": "streaming.dataset.stream:Stream"}, "streaming_streams_registry"
)


def make_stream(name: str, arguments: Mapping[str, Any]) -> Stream:
    """Build a stream of a registered class.

    Args:
        name: Its registered name.
        arguments: Its keyword arguments.

    Raises:
        ConfigError: The name is no text.
        UnknownNameError: No class has it.
    """
    return stream_classes[as_text("stream_name", name)](**arguments)
