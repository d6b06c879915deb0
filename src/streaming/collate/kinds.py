"""How the values of one column become a part of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from streaming.core.arguments import as_integer
from streaming.core.errors import CollateError
from streaming.vision.base import to_tensor

__all__ = ["Images", "Keep", "Pad"]


@dataclass(frozen=True)
class Pad:
    """Stacks arrays of different lengths: each is filled up, at its end along every axis, to the longest.

    Args:
        value: What fills.
        multiple: Lengths along the first axis are rounded up to a multiple of it.

    Example:
        >>> Pad(value=-1, multiple=4)([np.array([1, 2]), np.array([3])])
        tensor([[ 1,  2, -1, -1],
                [ 3, -1, -1, -1]])
    """

    value: float = 0
    multiple: int = 1

    def __post_init__(self) -> None:
        as_integer("multiple", self.multiple, 1)

    def __call__(self, values: Sequence[Any]) -> Tensor:
        """Return a tensor.

        Args:
            values: Arrays, tensors or lists of numbers, of one dtype and number of axes.

        Returns:
            A batch axis, and then the longest of each axis.

        Raises:
            CollateError: One is no array, or they differ in more than their lengths.
        """
        arrays = [_as_array(value) for value in values]
        first = arrays[0]
        for array in arrays:
            if array.ndim != first.ndim or array.dtype != first.dtype:
                raise CollateError(
                    f"arrays of {first.ndim} axes of {first.dtype} and of {array.ndim} axes of {array.dtype} cannot be "
                    "padded to one shape."
                )
        longest = [max(lengths) for lengths in zip(*(array.shape for array in arrays), strict=True)]
        if longest:
            longest[0] = -(-longest[0] // self.multiple) * self.multiple
        out = np.full((len(arrays), *longest), self.value, first.dtype)
        for row, array in zip(out, arrays, strict=True):
            row[tuple(map(slice, array.shape))] = array
        return torch.from_numpy(out)


@dataclass(frozen=True)
class Keep:
    """Makes a list of the values, as they are; arrays become tensors, each of its shape.

    Example:
        >>> Keep()([np.array([1, 2]), np.array([3])])
        [tensor([1, 2]), tensor([3])]
    """

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        """Return the list.

        Args:
            values: Anything.
        """
        return [torch.from_numpy(v.copy()) if isinstance(v, np.ndarray) else v for v in values]


@dataclass(frozen=True)
class Images:
    """Stacks images: ``float32[k, channels, height, width]``, from 0 to 1.

    Args:
        size: Height and width to which each is resized; ``None``: they must have one size.
        mode: Of Pillow's, to which each is converted (``'RGB'``, ``'L'`` ...); ``None``: as they are.

    Example:
        >>> Images()([np.zeros((2, 3, 3), np.uint8), np.ones((2, 3, 3), np.uint8)]).shape
        torch.Size([2, 3, 2, 3])
    """

    size: tuple[int, int] | None = None
    mode: str | None = "RGB"

    def __call__(self, values: Sequence[Any]) -> Tensor:
        """Return a tensor.

        Args:
            values: Pillow's images; or arrays of height, width and channels, which are neither converted nor resized.

        Raises:
            CollateError: They have different sizes, or modes with different numbers of channels.
        """
        tensors = [to_tensor(self._fit(value)) for value in values]
        shapes = list(dict.fromkeys(tuple(tensor.shape) for tensor in tensors))
        if len(shapes) > 1:
            shown = ", ".join(" x ".join(map(str, shape)) for shape in shapes[:4])
            raise CollateError(
                f"images of {shown} channels, rows and columns cannot be stacked. Give a size and a mode, such as "
                "Images(size=(224, 224), mode='RGB'), or keep them apart with Keep()."
            )
        return torch.stack(tensors)

    def _fit(self, image: Any) -> Any:
        if isinstance(image, np.ndarray) or not hasattr(image, "convert"):
            return image
        if self.mode is not None and image.mode != self.mode:
            image = image.convert(self.mode)
        return image if self.size is None else image.resize((self.size[1], self.size[0]))


def _as_array(value: Any) -> np.ndarray[Any, Any]:
    array = value.numpy() if isinstance(value, Tensor) else np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise CollateError(f"{type(value).__name__} is no array of numbers, so it cannot be padded.")
    return array
