"""Convert in parallel: each process writes a part of its own, and ``merge_index`` makes one dataset of them."""

import os
import sys
from multiprocessing import Pool

import numpy as np

from streaming import MDSWriter, StreamingDataset
from streaming.base.util import merge_index

out = sys.argv[1]


def convert(part):
    """Write one part."""
    path = os.path.join(out, "tokens", f"part-{part}")
    with MDSWriter(out=path, columns={"tokens": "ndarray:uint16"}, compression="br:5", size_limit=1 << 12) as writer:
        for i in range(50):
            writer.write({"tokens": np.arange(part, part + 20 + i, dtype=np.uint16)})
    return path


if __name__ == "__main__":
    with Pool(2) as pool:
        parts = pool.map(convert, range(4))
    merge_index(os.path.join(out, "tokens"), keep_local=True)
    dataset = StreamingDataset(local=os.path.join(out, "tokens"), batch_size=1)
    print(len(parts), len(dataset), [len(dataset[i]["tokens"]) for i in (0, 49, 50, 199)])
