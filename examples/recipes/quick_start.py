"""Write a dataset of images and classes, and read it with a PyTorch ``DataLoader``."""

import sys

import numpy as np
from PIL import Image
from torch.utils.data import DataLoader

from streaming import MDSWriter, StreamingDataset

out = sys.argv[1]
remote, local = f"{out}/remote", f"{out}/local"

columns = {"image": "png", "class": "int"}
random = np.random.default_rng(0)
with MDSWriter(out=remote, columns=columns, compression="zstd", hashes=["sha1"], size_limit=1 << 15) as writer:
    for i in range(200):
        pixels = random.integers(0, 256, (16, 16, 3), np.uint8)
        writer.write({"image": Image.fromarray(pixels), "class": i % 10})


def collate(samples):
    """Stack the images of a batch."""
    images = np.stack([np.asarray(sample["image"]) for sample in samples])
    return images, [sample["class"] for sample in samples]


dataset = StreamingDataset(remote=remote, local=local, shuffle=True, shuffle_algo="py1e", batch_size=8)
print(len(dataset), dataset.size, dataset[137]["class"], dataset[137]["image"].size)
for images, classes in DataLoader(dataset, batch_size=8, num_workers=2, collate_fn=collate):
    print(images.shape, int(images.sum()), classes)
