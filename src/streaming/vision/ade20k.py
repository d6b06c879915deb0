"""ADE20K: scenes and what each pixel shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from typing_extensions import Unpack

from streaming.dataset.convenience import ConvenienceArguments, ConvenienceDataset, takes_arguments_of

__all__ = ["StreamingADE20K"]


@takes_arguments_of(ConvenienceDataset)
class StreamingADE20K(ConvenienceDataset):
    """Samples with a column ``x``, the image, and ``y``, the image of its annotation.

    Args:
        joint_transform: For the pair, first.
        transform: For the image.
        target_transform: For the annotation.
        kwargs: See :class:`streaming.dataset.convenience.ConvenienceDataset`.

    Example:
        >>> from streaming.vision import StreamingADE20K
        >>> image, annotation = StreamingADE20K(local='scenes', transform=np.asarray)[0]
        >>> image.shape, annotation.size
        ((3, 4, 3), (4, 3))
    """

    def __init__(
        self,
        *,
        joint_transform: Callable[..., Any] | None = None,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        **kwargs: Unpack[ConvenienceArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.joint_transform = joint_transform
        self.transform = transform
        self.target_transform = target_transform

    def get_item(self, sample_id: int, retry: int = 7) -> tuple[Any, Any]:
        """Return image and annotation, transformed."""
        sample = super().get_item(sample_id, retry)
        x, y = sample["x"], sample["y"]
        if self.joint_transform is not None:
            x, y = self.joint_transform((x, y))
        if self.transform is not None:
            x = self.transform(x)
        if self.target_transform is not None:
            y = self.target_transform(y)
        return x, y
