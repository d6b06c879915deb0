"""Convert in parallel: each process writes a part of its own, and ``merge_index`` makes one dataset of them."""

import argparse
import os
import sys
import tempfile
from multiprocessing import Pool

import numpy as np

from streaming import MDSWriter, StreamingDataset
from streaming.base.util import merge_index

try:
    import brotli  # noqa: F401
except ImportError:
    sys.exit("This recipe compresses with Brotli: pip install 'streaming-dataset[compression]'")


def convert(out, part):
    """Write one part."""
    path = os.path.join(out, "tokens", f"part-{part}")
    with MDSWriter(
        out=path, columns={"tokens": "ndarray:uint16"}, compression="br:5", size_limit=1 << 12, exist_ok=True
    ) as writer:
        for i in range(50):
            writer.write({"tokens": np.arange(part, part + 20 + i, dtype=np.uint16)})
    return path


def main(out):
    """Write four parts in two processes, and read them as one dataset."""
    with Pool(2) as pool:
        parts = pool.starmap(convert, [(out, part) for part in range(4)])
    merge_index(os.path.join(out, "tokens"), keep_local=True)
    dataset = StreamingDataset(local=os.path.join(out, "tokens"), batch_size=1)
    print(len(parts), len(dataset), [len(dataset[i]["tokens"]) for i in (0, 49, 50, 199)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", nargs="?", help="where to write (default: a new temporary directory)")
    out = parser.parse_args().out or tempfile.mkdtemp(prefix="streaming-")
    print(f"Files are written below {out}", file=sys.stderr)
    main(out)
