"""Train from three lakes where they lie: pages in Parquet by year, answers in a table of Delta, vectors in one of Lance.

Nothing is converted: each lake is one line. Needs the extras `delta`, `lance` and `sql`.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from streaming import Stream, StreamingDataLoader, StreamingDataset

# The library of Lance starts threads, after which a process must not fork: so it writes in a process of its own.
WRITE_LANCE = """
import sys, lance, pyarrow as pa
ids = list(range(600))
numbers = pa.array([(i * k) % 7 / 7 for i in ids for k in range(1, 9)], pa.float32())
table = pa.table({"id": ids, "vector": pa.FixedSizeListArray.from_arrays(numbers, 8), "good": [i % 3 == 0 for i in ids]})
lance.write_dataset(table, sys.argv[1], max_rows_per_file=250)
lance.dataset(sys.argv[1]).delete("id % 10 = 9")
"""


def write_web(place):
    """Write pages as Spark would: a directory a year, which says what its rows have."""
    for year in (2023, 2024, 2025):
        (place / f"year={year}").mkdir(parents=True)
        for part in range(2):
            ids = range(500 * part, 500 * (part + 1))
            pages = [f"page {i} of {year}, " + "and so on " * (i % 4) for i in ids]
            scores = [i % 100 / 100 for i in ids]
            langs = [("de", "en", "fr")[i % 3] for i in ids]
            pq.write_table(
                pa.table({"text": pages, "score": scores, "lang": langs}), place / f"year={year}" / f"{part}.parquet"
            )


def write_answers(place):
    """Write a table, add to it with another column, and delete some of it: three versions."""
    first = pa.table({"id": range(300), "text": [f"answer {i}" for i in range(300)]})
    deltalake.write_deltalake(place, first)
    more = pa.table({"id": range(300, 400), "text": ["a longer answer"] * 100, "votes": range(100)})
    deltalake.write_deltalake(place, more, mode="append", schema_mode="merge")
    deltalake.DeltaTable(place).delete("id < 50")


def main():
    """Write the lakes, and train from each, and from two together."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", help="where to write (default: a new temporary directory)")
    directory = Path(parser.parse_args().directory or tempfile.mkdtemp(prefix="streaming-lakes-"))
    print(f"below {directory}", file=sys.stderr)
    shutil.rmtree(directory / "lakes", ignore_errors=True)
    shutil.rmtree(directory / "cache", ignore_errors=True)
    lakes, cache = directory / "lakes", directory / "cache"
    write_web(lakes / "web")
    write_answers(lakes / "answers")
    subprocess.run([sys.executable, "-c", WRITE_LANCE, str(lakes / "vectors.lance")], check=True)

    web = StreamingDataset(remote=f"{lakes}/web/**/*.parquet", local=cache / "web", shuffle=True, batch_size=32)
    german = web.filter("lang = 'de' AND score > 0.5 AND year >= 2024")
    seen = [text for batch in StreamingDataLoader(german, batch_size=32, num_workers=2) for text in batch["text"]]
    print(f"web: {len(web)} pages, {len(seen)} of them chosen")

    for version in (0, None):
        answers = StreamingDataset(remote=f"delta+{lakes}/answers", version=version, local=cache / "a", batch_size=32)
        print(f"answers at version {'newest' if version is None else version}: {len(answers)}, {sorted(answers[0])}")

    vectors = StreamingDataset(remote=lakes / "vectors.lance", local=cache / "vectors", shuffle=True, batch_size=32)
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(12):
        total = 0.0
        for batch in StreamingDataLoader(vectors, batch_size=32, num_workers=2):
            optimizer.zero_grad()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                model(torch.as_tensor(batch["vector"]))[:, 0], batch["good"].float()
            )
            loss.backward()
            optimizer.step()
            total += float(loss.detach())
        losses.append(total)
    print(f"vectors: {len(vectors)} rows, the loss fell: {losses[-1] < losses[0]}")

    mixed = StreamingDataset(
        streams=[
            Stream(remote=f"{lakes}/web/**/*.parquet", columns=["text"], local=cache / "web-texts", proportion=3),
            Stream(remote=f"delta+{lakes}/answers", columns=["text"], local=cache / "answer-texts", proportion=1),
        ],
        epoch_size=400,
        shuffle=True,
        batch_size=32,
    )
    texts = [sample["text"] for sample in mixed]
    print(f"mixed: {sum('page' in text for text in texts)} of {len(texts)} are pages")


if __name__ == "__main__":
    main()
