"""CIFAR-10."""

from __future__ import annotations

from streaming.vision.base import StreamingVisionDataset

__all__ = ["StreamingCIFAR10"]


class StreamingCIFAR10(StreamingVisionDataset):
    """CIFAR-10. Arguments as :class:`streaming.vision.base.StreamingVisionDataset`'s."""
