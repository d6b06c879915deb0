"""Checkpoint a loader with the model, and go on in the middle of the epoch with other workers."""

import argparse
import json
import sys
import tempfile

from streaming import MDSWriter, StreamingDataLoader, StreamingDataset


def make_loader(out, workers):
    """What both runs execute."""
    dataset = StreamingDataset(
        remote=f"{out}/remote", local=f"{out}/local{workers}", shuffle=True, shuffle_algo="py1br", batch_size=20,
        num_canonical_nodes=2, shuffle_block_size=1 << 12,
    )  # fmt: skip
    return StreamingDataLoader(dataset, batch_size=20, num_workers=workers)


def main(out):
    """Train, stop, and go on."""
    with MDSWriter(out=f"{out}/remote", columns={"n": "int"}, size_limit=1 << 9, exist_ok=True) as writer:
        for n in range(400):
            writer.write({"n": n})

    loader = make_loader(out, workers=2)
    seen = []
    for batch in loader:
        seen += batch["n"].tolist()
        if len(seen) == 160:
            checkpoint = json.dumps(loader.state_dict())
            break

    state = json.loads(checkpoint)
    print({key: state[key] for key in ("epoch", "sample_in_epoch", "num_canonical_nodes", "shuffle_seed")})

    resumed = make_loader(out, workers=1)
    resumed.load_state_dict(state)
    for batch in resumed:
        seen += batch["n"].tolist()
    print(seen[150:170], sorted(seen) == list(range(400)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", nargs="?", help="where to write (default: a new temporary directory)")
    out = parser.parse_args().out or tempfile.mkdtemp(prefix="streaming-")
    print(f"Files are written below {out}", file=sys.stderr)
    main(out)
