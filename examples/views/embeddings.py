"""Ten sets of embeddings of one corpus, each a dataset of its own, joined to it as they are needed."""

import argparse
import sys
import tempfile

import numpy as np

from streaming import MDSWriter, Side, Stream, StreamingDataLoader, StreamingDataset

NUM_SETS, NUM_DOCUMENTS, WIDTH = 10, 500, 16


def write(out, name, columns, rows, side_columns=None):
    """Write one dataset."""
    with MDSWriter(
        out=f"{out}/{name}", columns=columns, size_limit=1 << 13, exist_ok=True, side_columns=side_columns
    ) as writer:
        for row in rows:
            writer.write(row)


def write_all(out):
    """Write the corpus, and the sets: the even ones in its order, the odd ones in an order of their own, with ids."""
    documents = ({"id": f"d{n}", "text": f"document {n}"} for n in range(NUM_DOCUMENTS))
    write(out, "corpus", {"id": "str", "text": "str"}, documents, side_columns="id")
    for number in range(NUM_SETS):
        name = f"model_{number}"
        columns = {name: f"ndarray:float32:{WIDTH}"}
        vectors = [np.full(WIDTH, n + number / 10, np.float32) for n in range(NUM_DOCUMENTS)]
        if number % 2 == 0:
            write(out, name, columns, ({name: vector} for vector in vectors))
        else:
            order = np.random.default_rng(number).permutation(NUM_DOCUMENTS).tolist()
            rows = ({"id": f"d{n}", name: vectors[n]} for n in order)
            write(out, name, {"id": "str", **columns}, rows, side_columns="id")


def joined(out, numbers, **kwargs):
    """Return the corpus with the embeddings of some models."""
    sides = [
        Side(local=f"{out}/model_{number}", columns=[f"model_{number}"], on="id" if number % 2 else None)
        for number in numbers
    ]
    return StreamingDataset(streams=[Stream(local=f"{out}/corpus", join=sides)], batch_size=50, **kwargs)


def main(out):
    """Write eleven datasets; train on all of them together, and on a part with two."""
    write_all(out)
    dataset = joined(out, range(NUM_SETS), shuffle=True)
    fits = []
    for batch in StreamingDataLoader(dataset, batch_size=50):
        numbers = np.array([int(name[1:]) for name in batch["id"]])
        fits += [np.allclose(batch[f"model_{k}"][:, 0], numbers + k / 10) for k in range(NUM_SETS)]
    print(len(dataset[0]), len(fits), all(fits))

    some = joined(out, [3, 4]).filter("id like 'd1%'")
    print(some.size, sorted(some[0]), some[0]["text"], f"{some[0]['model_3'][0]:.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", nargs="?", help="where to write (default: a new temporary directory)")
    out = parser.parse_args().out or tempfile.mkdtemp(prefix="streaming-")
    print(f"Files are written below {out}", file=sys.stderr)
    try:
        main(out)
    except ImportError as error:  # a package is not installed; the text says which
        sys.exit(str(error))
