"""Train on images with ``StreamingCIFAR10``: samples are pairs of a transformed image and a class."""

import argparse
import sys
import tempfile

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from streaming import MDSWriter
from streaming.vision import StreamingCIFAR10

try:
    from PIL import Image
except ImportError:
    sys.exit("This recipe needs Pillow: pip install 'streaming-dataset[vision]'")


def to_tensor(image):
    """Scale an image to ``float32[3, 32, 32]``."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def loader(out, split, shuffle):
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


def main(out):
    """Write both splits, train, and evaluate."""
    random = np.random.default_rng(5)
    for split, count in [("train", 600), ("test", 100)]:
        with MDSWriter(
            out=f"{out}/remote/{split}", columns={"x": "pil", "y": "int"}, size_limit=1 << 18, exist_ok=True
        ) as writer:
            for i in range(count):
                pixels = random.integers(0, 64, (32, 32, 3), np.uint8)
                pixels[3 * (i % 10) : 3 * (i % 10) + 3] += 128  # the class is where the bright band lies
                writer.write({"x": Image.fromarray(pixels), "y": i % 10})

    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = nn.Sequential(nn.AvgPool2d((1, 32)), nn.Flatten(), nn.Linear(96, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for epoch in range(3):
        losses = []
        for images, classes in loader(out, "train", shuffle=True):
            loss = nn.functional.cross_entropy(model(images), classes)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        print("epoch", epoch, "loss", round(sum(losses) / len(losses), 1))
    with torch.no_grad():
        right = sum(
            (model(images).argmax(1) == classes).sum().item() for images, classes in loader(out, "test", shuffle=False)
        )
    print("right", right, "of 100")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", nargs="?", help="where to write (default: a new temporary directory)")
    out = parser.parse_args().out or tempfile.mkdtemp(prefix="streaming-")
    print(f"Files are written below {out}", file=sys.stderr)
    main(out)
