"""Images with a label: the base of such datasets, and what is done to a sample by default."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from typing_extensions import Unpack

from streaming.core.errors import ConfigError
from streaming.dataset.convenience import ConvenienceDataset, ConvenienceOptions, takes_arguments_of

__all__ = ["StandardTransform", "StreamingVisionDataset", "to_tensor"]

Transform = Callable[..., Any]


def to_tensor(image: Any) -> torch.Tensor:
    """Turn an image into a tensor.

    Args:
        image: A PIL image, or an array of height, width and channels (or of height and width).

    Returns:
        Channels, height and width; 8-bit values scaled to ``[0, 1]`` as ``float32``, others as they are.

    Example:
        >>> to_tensor(np.full((2, 3), 255, np.uint8))
        tensor([[[1., 1., 1.],
                 [1., 1., 1.]]])
    """
    values = np.array(image)
    if values.ndim == 2:
        values = values[:, :, None]
    if values.dtype == np.bool_:
        values = values.astype(np.uint8) * 255
    elif values.dtype == np.uint16:
        values = values.astype(np.int16)  # what 16-bit images have always been read as
    tensor = torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))
    return tensor.float().div(255) if values.dtype == np.uint8 else tensor


class StandardTransform:
    """Transforms image and label each by its own function.

    Args:
        transform: For the image, by default :func:`to_tensor`.
        target_transform: For the label, by default none.

    Example:
        >>> transform = StandardTransform(target_transform=float)
        >>> image, label = transform(np.zeros((3, 4, 3), np.uint8), 7)
        >>> image.shape, label
        (torch.Size([3, 3, 4]), 7.0)
    """

    def __init__(self, transform: Transform | None = None, target_transform: Transform | None = None) -> None:
        self.transform = transform
        self.target_transform = target_transform

    def __call__(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Return image and label, transformed."""
        x = to_tensor(x) if self.transform is None else self.transform(x)
        return x, y if self.target_transform is None else self.target_transform(y)


@takes_arguments_of(ConvenienceDataset, required=("batch_size",))
class StreamingVisionDataset(ConvenienceDataset):
    """Samples with a column ``x``, the image, and ``y``, its label.

    Args:
        batch_size: Samples of a batch on each rank.
        transforms: For image and label together, instead of the others.
        transform: For the image, by default :func:`to_tensor`.
        target_transform: For the label, by default none.
        kwargs: See :class:`streaming.dataset.convenience.ConvenienceDataset`.

    Raises:
        ConfigError: An argument is wrong.

    Example:
        >>> dataset = StreamingVisionDataset(local='images', batch_size=4, target_transform=lambda label: label * 10)
        >>> image, label = dataset[2]
        >>> image.shape, label
        (torch.Size([3, 3, 4]), 20)
    """

    def __init__(
        self,
        *,
        batch_size: int,
        transforms: Transform | None = None,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        **kwargs: Unpack[ConvenienceOptions],
    ) -> None:
        if transforms is not None and (transform is not None or target_transform is not None):
            raise ConfigError("Give either transforms, or transform and target_transform, not both.")
        super().__init__(batch_size=batch_size, **kwargs)
        self.transform = transform
        self.target_transform = target_transform
        self.transforms: Transform = (
            StandardTransform(transform, target_transform) if transforms is None else transforms
        )

    def get_item(self, sample_id: int, retry: int = 7) -> tuple[Any, Any]:
        """Return image and label, transformed."""
        sample = super().get_item(sample_id, retry)
        return self.transforms(sample["x"], sample["y"])
