"""Many columns a sample, made into training examples by a subclass and a collate function of your own."""

import argparse
import sys
import tempfile

import numpy as np
import torch

from streaming import MDSWriter, StreamingDataLoader, StreamingDataset


class Faces(StreamingDataset):
    """Masked images, and their landmarks."""

    def __getitem__(self, at):
        """Return an example."""
        sample = super().__getitem__(at)
        mask = np.frombuffer(sample["mask"], np.uint8).reshape(8, 8)
        return torch.tensor(sample["image"] * mask), torch.tensor(sample["landmarks"]), sample["meta"]["name"]


def collate(examples):
    """Pad landmarks to the longest of the batch."""
    images, landmarks, names = zip(*examples, strict=False)
    return torch.stack(images), torch.nn.utils.rnn.pad_sequence(landmarks, batch_first=True), list(names)


def main(out):
    """Write the dataset, and train on it."""
    columns = {"image": "ndarray:uint8:8,8", "landmarks": "ndarray:float32", "mask": "bytes", "meta": "json"}
    random = np.random.default_rng(11)
    with MDSWriter(out=f"{out}/remote", columns=columns, hashes=["xxh64"], size_limit=1 << 13, exist_ok=True) as writer:
        for i in range(120):
            writer.write(
                {
                    "image": random.integers(0, 255, (8, 8), np.uint8),
                    "landmarks": random.random((1 + i % 3, 2), np.float32),
                    "mask": bytes([i % 2] * 64),
                    "meta": {"name": f"face {i}", "tags": ["a", "b"][: 1 + i % 2]},
                }
            )

    dataset = Faces(remote=f"{out}/remote", local=f"{out}/local", batch_size=16, shuffle=True, shuffle_algo="py2s")
    print(dataset[0][2], dataset[-1][2])
    for images, landmarks, names in StreamingDataLoader(dataset, batch_size=16, num_workers=2, collate_fn=collate):
        print(tuple(images.shape), int(images.sum()), tuple(landmarks.shape), names[:2])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", nargs="?", help="where to write (default: a new temporary directory)")
    out = parser.parse_args().out or tempfile.mkdtemp(prefix="streaming-")
    print(f"Files are written below {out}", file=sys.stderr)
    main(out)
