"""Short documents first, then long ones too: a schedule over conditions on one dataset, with packing.

python examples/language_model/curriculum.py
"""

import argparse
import sys
import tempfile

import numpy as np

from streaming import MDSWriter, Pack, Phase, Ramp, Schedule, Stream, StreamingDataLoader, StreamingDataset

STEPS, BATCH, TO = 60, 8, 512
#: Streams are conditions over one dataset: nothing is written twice, nothing is in two of them.
LENGTHS = {
    "short": "len_tokens < 64",
    "medium": "len_tokens >= 64 AND len_tokens < 256",
    "long": "len_tokens >= 256",
}


def write(out):
    """Write documents of all lengths, and their lengths as a side column."""
    rng = np.random.default_rng(0)
    with MDSWriter(
        columns={"tokens": "ndarray:uint16"}, out=out, size_limit=1 << 17, exist_ok=True, side_columns="len(tokens)"
    ) as writer:
        for length in np.clip(rng.lognormal(4.6, 1, 2000), 8, TO).astype(int):
            writer.write({"tokens": rng.integers(0, 1000, length, np.uint16)})


def make_loader(out):
    """Build the curriculum: 20 steps of short documents, 20 in which longer ones come, and an even mixture from then on."""
    mix = Schedule(
        [
            Phase(0, {"short": 1}),
            Ramp(20, 40, to={"short": 0.2, "medium": 0.4, "long": 0.4}),
        ],
        unit="batches",
    )
    dataset = StreamingDataset(
        streams={name: Stream(local=out, where=condition) for name, condition in LENGTHS.items()},
        mix=mix,
        shuffle=True,
        batch_size=BATCH,
        pack=Pack("tokens", to=TO),
    )
    return StreamingDataLoader(dataset, batch_size=BATCH)


def main(out):
    """Print what ten steps at a time hold: documents, and of how many tokens they are."""
    write(out)
    loader = make_loader(out)
    lengths = []
    for step, batch in enumerate(loader, 1):
        # A document begins where its number differs from the one before it.
        ids = batch["doc_ids"].numpy()
        lengths += [np.bincount(row[row >= 0]) for row in ids]
        if step % 10 == 0:
            tokens = np.concatenate(lengths)
            shares = np.histogram(tokens, [0, 64, 256, TO + 1], weights=tokens)[0] / tokens.sum()
            text = ", ".join(f"{name} {share:.0%}" for name, share in zip(LENGTHS, shares, strict=True))
            print(f"steps {step - 9:2} to {step}: {len(tokens):4} documents; of their tokens, {text}")
            lengths = []
        if step == STEPS:
            break


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", nargs="?", help="where to write (default: a new temporary directory)")
    out = parser.parse_args().out or tempfile.mkdtemp(prefix="streaming-")
    print(f"Files are written below {out}", file=sys.stderr)
    try:
        main(out)
    except ImportError as error:  # a package is not installed; the text says which
        sys.exit(str(error))
