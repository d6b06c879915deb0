"""Mix datasets: by share of the epoch, by how often each is repeated, or by a number of samples."""

import argparse
import sys
import tempfile
from collections import Counter

from streaming import MDSWriter, Stream, StreamingDataset


def mixed(out, weights, **kwargs):
    """Count what an epoch of a mixture holds."""
    streams = [
        Stream(remote=f"{out}/{name}", local=f"{out}/cache-{name}", **weight) for name, weight in weights.items()
    ]
    return StreamingDataset(
        streams=streams, shuffle=True, shuffle_algo="py1s", num_canonical_nodes=1, batch_size=10, **kwargs
    )


def main(out):
    """Write three datasets, and mix them in three ways."""
    sizes = {"web": 600, "code": 200, "books": 100}
    for name, size in sizes.items():
        with MDSWriter(
            out=f"{out}/{name}", columns={"source": "str", "n": "int"}, size_limit=1 << 11, exist_ok=True
        ) as writer:
            for n in range(size):
                writer.write({"source": name, "n": n})

    for title, weights, kwargs in [
        ("absolute", {"web": {"choose": 300}, "code": {"repeat": 2}, "books": {"repeat": 0.5}}, {}),
        (
            "relative",
            {"web": {"proportion": 0.5}, "code": {"proportion": 0.3}, "books": {"proportion": 0.2}},
            {"epoch_size": 500},
        ),
        (
            "stratified",
            {"web": {"proportion": 0.5}, "code": {"proportion": 0.3}, "books": {"proportion": 0.2}},
            {"epoch_size": 500, "batching_method": "stratified"},
        ),
    ]:
        dataset = mixed(out, weights, **kwargs)
        samples = list(dataset)
        first = Counter(sample["source"] for sample in samples[:10])
        print(
            title, len(dataset), sorted(Counter(sample["source"] for sample in samples).items()), sorted(first.items())
        )
        print([(sample["source"], sample["n"]) for sample in samples[:5]])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", nargs="?", help="where to write (default: a new temporary directory)")
    out = parser.parse_args().out or tempfile.mkdtemp(prefix="streaming-")
    print(f"Files are written below {out}", file=sys.stderr)
    main(out)
