"""ImageNet."""

from __future__ import annotations

from streaming.vision.base import StreamingVisionDataset

__all__ = ["StreamingImageNet"]


class StreamingImageNet(StreamingVisionDataset):
    """ImageNet. Arguments as :class:`streaming.vision.base.StreamingVisionDataset`'s."""
