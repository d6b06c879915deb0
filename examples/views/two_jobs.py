"""Two jobs that train on different samples of one dataset and share one cache: each shard is fetched once."""

import argparse
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor

from streaming import MDSWriter, Stream, StreamingDataLoader, StreamingDataset

LANGUAGES = ("de", "en", "fr")


def write(out):
    """Write documents in three languages, and the side columns that conditions are asked over."""
    columns = {"language": "str", "text": "str"}
    with MDSWriter(
        out=out,
        columns=columns,
        compression="zstd",
        hashes=["xxh64"],
        size_limit=1 << 13,
        exist_ok=True,
        side_columns="language,n_chars=len(text)",
    ) as writer:
        for n in range(3000):
            writer.write({"language": LANGUAGES[n % 3], "text": f"document {n} " * (1 + n % 7)})


def job(remote, local, condition):
    """Train for an epoch; return how many samples were served, and how many files were fetched."""
    stream = Stream(remote=remote, local=local, where=condition)
    dataset = StreamingDataset(streams=[stream], shuffle=True, batch_size=20)
    served = sum(len(batch["text"]) for batch in StreamingDataLoader(dataset, batch_size=20))
    return served, dataset.stats()["files_fetched"]


def main(out):
    """Write the dataset, run both jobs at the same time, and count what they fetched."""
    remote, local = f"{out}/remote", tempfile.mkdtemp(dir=out)
    write(remote)
    num_shards = StreamingDataset(local=remote).num_shards
    conditions = ["language = 'de'", "language <> 'fr' AND n_chars > 30"]
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(job, [remote] * 2, [local] * 2, conditions))
    for condition, (served, _) in zip(conditions, found, strict=True):
        print(f"{condition}: {served} samples")
    print(f"files fetched by both jobs: {sum(fetched for _, fetched in found)}, shards: {num_shards}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", nargs="?", help="where to write (default: a new temporary directory)")
    out = parser.parse_args().out or tempfile.mkdtemp(prefix="streaming-")
    print(f"Files are written below {out}", file=sys.stderr)
    try:
        main(out)
    except ImportError as error:  # a package is not installed; the text says which
        sys.exit(str(error))
