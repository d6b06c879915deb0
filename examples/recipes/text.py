"""Train a classifier of texts: write training and validation splits, tokenise while reading, train, evaluate."""

import argparse
import sys
import tempfile

import numpy as np
import torch
from torch import nn

from streaming import MDSWriter, StreamingDataLoader, StreamingDataset

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
VOCABULARY = {word: i for i, word in enumerate(WORDS)}


def say(number):
    """Spell a number's digits."""
    return " ".join(WORDS[int(digit)] for digit in str(number))


class SpelledNumbers(StreamingDataset):
    """Gives tokens, and whether the number is odd."""

    def get_item(self, idx):
        """Tokenise a sample."""
        sample = super().get_item(idx)
        tokens = [VOCABULARY[word] for word in sample["words"].split()]
        padded = torch.full((6,), 10)
        padded[-len(tokens) :] = torch.tensor(tokens)
        return padded, sample["number"] % 2


def loader(out, split, shuffle):
    """Read a split."""
    dataset = SpelledNumbers(
        remote=f"{out}/remote",
        local=f"{out}/local",
        split=split,
        shuffle=shuffle,
        shuffle_algo="py1e",
        batch_size=50,
    )
    return StreamingDataLoader(dataset, batch_size=50, num_workers=2)


def main(out):
    """Write both splits, train, and evaluate."""
    random = np.random.default_rng(3)
    for split, count in [("train", 2000), ("val", 200)]:
        with MDSWriter(
            out=f"{out}/remote/{split}",
            columns={"number": "int", "words": "str"},
            compression="zstd:7",
            size_limit=1 << 14,
            exist_ok=True,
        ) as writer:
            for number in random.integers(0, 1_000_000, count).tolist():
                writer.write({"number": number, "words": say(number)})

    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = nn.Sequential(nn.Embedding(11, 8), nn.Flatten(), nn.Linear(48, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    train = loader(out, "train", shuffle=True)
    for epoch in range(2):
        for tokens, odd in train:
            loss = nn.functional.cross_entropy(model(tokens), odd)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print("epoch", epoch, "loss", round(loss.item(), 1))
    with torch.no_grad():
        right = sum((model(tokens).argmax(1) == odd).sum().item() for tokens, odd in loader(out, "val", shuffle=False))
    print("right", right, "of", len(loader(out, "val", shuffle=False).dataset))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", nargs="?", help="where to write (default: a new temporary directory)")
    out = parser.parse_args().out or tempfile.mkdtemp(prefix="streaming-")
    print(f"Files are written below {out}", file=sys.stderr)
    main(out)
