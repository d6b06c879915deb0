"""ImageNet."""

from __future__ import annotations

from streaming.vision.base import StreamingVisionDataset

__all__ = ["StreamingImageNet"]


class StreamingImageNet(StreamingVisionDataset):
    """ImageNet. Arguments as :class:`streaming.vision.base.StreamingVisionDataset`'s.

    Example:
        >>> from streaming.vision import StreamingImageNet
        >>> dataset = StreamingImageNet(local='images', batch_size=4, transform=lambda image: image.size)
        >>> dataset[0]
        ((4, 3), 0)
    """
