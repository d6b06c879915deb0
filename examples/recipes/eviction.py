"""Train on more than the disk holds: a limit on the cache, manual eviction, and what lies where."""

import argparse
import glob
import os
import sys
import tempfile

from streaming import LocalDataset, MDSWriter, StreamingDataset


def main(out):
    """Write the dataset, and read it with little room."""
    with MDSWriter(
        out=f"{out}/remote", columns={"n": "int", "pad": "bytes"}, compression="zstd", size_limit=1 << 12, exist_ok=True
    ) as writer:
        for n in range(500):
            writer.write({"n": n, "pad": bytes(100)})
    print(len(LocalDataset(f"{out}/remote")) if not glob.glob(f"{out}/remote/*.zstd") else "compressed")

    dataset = StreamingDataset(remote=f"{out}/remote", local=f"{out}/local", batch_size=10, cache_limit="40kb")
    print(sorted(sample["n"] for sample in dataset) == list(range(500)))
    print(dataset.cache_usage <= 40 << 10)

    local = tempfile.mkdtemp(dir=out)
    manual = StreamingDataset(remote=f"{out}/remote", local=local, batch_size=10)
    for shard in range(3):
        manual.prepare_shard(shard)
    before = manual.cache_usage
    manual.evict_shard(1)
    print(before > manual.cache_usage, sorted(map(os.path.basename, glob.glob(f"{local}/*.mds"))))
    manual.evict_coldest_shard()
    print(len(glob.glob(f"{local}/*.mds")), manual[70]["n"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", nargs="?", help="where to write (default: a new temporary directory)")
    out = parser.parse_args().out or tempfile.mkdtemp(prefix="streaming-")
    print(f"Files are written below {out}", file=sys.stderr)
    main(out)
