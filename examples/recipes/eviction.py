"""Train on more than the disk holds: a limit on the cache, manual eviction, and what lies where."""

import glob
import os
import sys

from streaming import LocalDataset, MDSWriter, StreamingDataset

out = sys.argv[1]
with MDSWriter(
    out=f"{out}/remote", columns={"n": "int", "pad": "bytes"}, compression="zstd", size_limit=1 << 12
) as writer:
    for n in range(500):
        writer.write({"n": n, "pad": bytes(100)})
print(len(LocalDataset(f"{out}/remote")) if not glob.glob(f"{out}/remote/*.zstd") else "compressed")

dataset = StreamingDataset(remote=f"{out}/remote", local=f"{out}/local", batch_size=10, cache_limit="40kb")
print(sorted(sample["n"] for sample in dataset) == list(range(500)))
print(dataset.cache_usage <= 40 << 10)

manual = StreamingDataset(remote=f"{out}/remote", local=f"{out}/manual", batch_size=10)
for shard in range(3):
    manual.prepare_shard(shard)
before = manual.cache_usage
manual.evict_shard(1)
print(before > manual.cache_usage, sorted(map(os.path.basename, glob.glob(f"{out}/manual/*.mds"))))
manual.evict_coldest_shard()
print(len(glob.glob(f"{out}/manual/*.mds")), manual[70]["n"])
