"""Datasets of images. None needs torchvision, unless a transform of yours does."""

from __future__ import annotations

from streaming.vision.ade20k import StreamingADE20K
from streaming.vision.base import to_tensor
from streaming.vision.cifar10 import StreamingCIFAR10
from streaming.vision.coco import StreamingCOCO
from streaming.vision.imagenet import StreamingImageNet

__all__ = ["StreamingADE20K", "StreamingCIFAR10", "StreamingCOCO", "StreamingImageNet", "to_tensor"]
