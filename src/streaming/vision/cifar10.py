"""CIFAR-10."""

from __future__ import annotations

from streaming.vision.base import StreamingVisionDataset

__all__ = ["StreamingCIFAR10"]


class StreamingCIFAR10(StreamingVisionDataset):
    """CIFAR-10. Arguments as :class:`streaming.vision.base.StreamingVisionDataset`'s.

    Example:
        >>> from streaming.vision import StreamingCIFAR10
        >>> image, label = StreamingCIFAR10(local='images', batch_size=4)[5]
        >>> image.dtype, label
        (torch.float32, 5)
    """
