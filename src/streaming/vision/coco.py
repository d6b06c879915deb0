"""COCO: images, and boxes around what they show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from typing_extensions import Unpack

from streaming.dataset.convenience import ConvenienceArguments, ConvenienceDataset, takes_arguments_of

__all__ = ["StreamingCOCO"]


@takes_arguments_of(ConvenienceDataset)
class StreamingCOCO(ConvenienceDataset):
    """Images with boxes.

    Args:
        transform: For image, its height and width, boxes and labels: called with those four, returns them.
        kwargs: See :class:`streaming.dataset.convenience.ConvenienceDataset`.

    Example:
        >>> from streaming.vision import StreamingCOCO
        >>> image, image_id, size, boxes, labels = StreamingCOCO(local='boxes')[0]
        >>> image_id, size, boxes.shape
        (7, (3, 4), (1, 4))
    """

    def __init__(self, *, transform: Callable[..., Any] | None = None, **kwargs: Unpack[ConvenienceArguments]) -> None:
        super().__init__(**kwargs)
        self.transform = transform

    def get_item(self, sample_id: int, retry: int = 7) -> tuple[Any, Any, Any, Any, Any]:
        """Return image (RGB), its id, its height and width, boxes and labels."""
        sample = super().get_item(sample_id, retry)
        image, size = sample["img"].convert("RGB"), (sample["htot"], sample["wtot"])
        boxes, labels = sample["bbox_sizes"], sample["bbox_labels"]
        if self.transform is not None:
            image, size, boxes, labels = self.transform(image, size, boxes, labels)
        return image, sample["img_id"], size, boxes, labels
