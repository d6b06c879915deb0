"""Train on images with ``StreamingCIFAR10``: samples are pairs of a transformed image and a class."""

import sys

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader

from streaming import MDSWriter
from streaming.vision import StreamingCIFAR10

out = sys.argv[1]
random = np.random.default_rng(5)
for split, count in [("train", 600), ("test", 100)]:
    with MDSWriter(out=f"{out}/remote/{split}", columns={"x": "pil", "y": "int"}, size_limit=1 << 18) as writer:
        for i in range(count):
            pixels = random.integers(0, 64, (32, 32, 3), np.uint8)
            pixels[3 * (i % 10) : 3 * (i % 10) + 3] += 128  # the class is where the bright band lies
            writer.write({"x": Image.fromarray(pixels), "y": i % 10})


def to_tensor(image):
    """Scale an image to ``float32[3, 32, 32]``."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def loader(split, shuffle):
    """Read a split."""
    dataset = StreamingCIFAR10(
        remote=f"{out}/remote",
        local=f"{out}/local",
        split=split,
        shuffle=shuffle,
        batch_size=20,
        transform=to_tensor,
        num_canonical_nodes=2,
    )
    return DataLoader(dataset, batch_size=20, num_workers=2)


torch.manual_seed(0)
torch.set_num_threads(1)
model = nn.Sequential(nn.AvgPool2d((1, 32)), nn.Flatten(), nn.Linear(96, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for epoch in range(3):
    losses = []
    for images, classes in loader("train", shuffle=True):
        loss = nn.functional.cross_entropy(model(images), classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print("epoch", epoch, "loss", round(sum(losses) / len(losses), 1))
with torch.no_grad():
    right = sum((model(images).argmax(1) == classes).sum().item() for images, classes in loader("test", shuffle=False))
print("right", right, "of 100")
