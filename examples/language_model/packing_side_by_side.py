"""What other packers make of some documents, and what this library makes of the same: fill, cuts, losses, resumption.

The other ways are described here in a few lines each, and need none of their libraries: Transformers' ``group_texts``, its
``DataCollatorWithFlattening``, TRL's ``packing=True``, the packing collator of llm-foundry, and Grain's packers.

    python examples/language_model/packing_side_by_side.py
"""

import argparse
import json
import sys
import tempfile
from collections import Counter

import numpy as np

from streaming import LocalDataset, MDSWriter, Pack, StreamingDataLoader, StreamingDataset

TO, BATCH, DOCUMENTS = 1024, 4, 3000
LENGTHS = np.clip(np.random.default_rng(0).lognormal(5.3, 1, DOCUMENTS), 16, TO).astype(int).tolist()

# A row is a list of pieces: a document, its first token, and a number of tokens.


def cut(documents):
    """Cut documents, laid end to end, into rows; the last may be short."""
    rows, room = [[]], TO
    for document in documents:
        start = 0
        while start < LENGTHS[document]:
            if not room:
                rows.append([])
                room = TO
            taken = min(room, LENGTHS[document] - start)
            rows[-1].append((document, start, taken))
            start, room = start + taken, room - taken
    return rows


def fit(documents, open_rows, full_after=None):
    """Put each document into the first row that has room. Where ``full_after`` rows are open and none has, give all away."""
    rows, done = open_rows, []
    for document in documents:
        for row in rows:
            if sum(length for _, _, length in row) + LENGTHS[document] <= TO:
                break
        else:
            if full_after is not None and len(rows) == full_after:
                done, rows = done + rows, []
            row = []
            rows.append(row)
        row.append((document, 0, LENGTHS[document]))
    return done, rows


def group_texts():
    """``datasets.map(group_texts, batched=True)``: a thousand documents become one text, and its last short row is lost."""
    rows = []
    for first in range(0, DOCUMENTS, 1000):
        some = cut(range(first, min(first + 1000, DOCUMENTS)))
        rows += some if sum(length for _, _, length in some[-1]) == TO else some[:-1]
    return rows


def flattening():
    """``DataCollatorWithFlattening``: each batch of documents is one row, as long as they happen to be."""
    return [[(document, 0, LENGTHS[document]) for document in range(i, i + 20)] for i in range(0, DOCUMENTS, 20)]


def trl():
    """``SFTConfig(packing=True)``: best fit inside of each thousand documents, once, before training."""
    rows = []
    for first in range(0, DOCUMENTS, 1000):
        some = []
        for document in sorted(range(first, min(first + 1000, DOCUMENTS)), key=lambda d: -LENGTHS[d]):
            used = [sum(length for _, _, length in row) for row in some]
            fits = [at for at, size in enumerate(used) if size + LENGTHS[document] <= TO]
            row = some[max(fits, key=lambda at: used[at])] if fits else []
            if not fits:
                some.append(row)
            row.append((document, 0, LENGTHS[document]))
        rows += some
    return rows


def foundry(ratio=3.5, kept=10 * BATCH):
    """``packing_ratio``: first fit of each batch in its collator; the fullest rows are served, others stay in memory."""
    rows, left, size = [], [], int(ratio * BATCH)
    for first in range(0, DOCUMENTS, size):
        documents = sorted(range(first, min(first + size, DOCUMENTS)), key=lambda d: -LENGTHS[d])
        _, every = fit(documents, left)
        every.sort(key=lambda row: -sum(length for _, _, length in row))
        rows, left = rows + every[:BATCH], every[BATCH : BATCH + kept]
    return rows


def grain(workers=1, open_rows=16):
    """``FirstFitPackIterDataset(num_packing_bins=16)``: in each worker, of the documents that it reads."""
    rows = []
    for worker in range(workers):
        done, rest = fit(range(worker, DOCUMENTS, workers), [], open_rows)
        rows += done + rest
    return rows


def concat_then_split():
    """``ConcatThenSplitIterDataset``: one text, cut into rows."""
    return cut(range(DOCUMENTS))


def ours(out, **settings):
    """Return the rows of this library, all of an epoch."""
    packed = LocalDataset(out).pack(Pack("tokens", to=TO, **settings))
    return [list(zip(*(part.tolist() for part in packed.documents(i)), strict=True)) for i in range(packed.size)]


def describe(name, rows):
    """Print a line on rows."""
    tokens = [sum(length for _, _, length in row) for row in rows]
    lost = sum(LENGTHS) - sum(tokens)
    pieces = Counter(document for row in rows for document, _, _ in row)
    size = max(TO, *tokens)
    filled = sum(tokens) / (len(rows) * size)
    broken = sum(count > 1 for count in pieces.values())
    print(f"| {name} | {len(rows)} of {size} | {filled:.3f} | {broken} | {lost} |")


def write(out):
    """Write the documents, a token a place."""
    with MDSWriter(
        columns={"id": "int32", "tokens": "ndarray:int32"}, out=out, size_limit=1 << 20, exist_ok=True
    ) as writer:
        for document, length in enumerate(LENGTHS):
            writer.write({"id": np.int32(document), "tokens": document * TO + np.arange(length, dtype=np.int32)})


def batches(out, ranks, state=None, stop=None):
    """Return the bins of each global batch of ``ranks`` ranks, and a checkpoint after ``stop`` batches."""
    served, states = [], []
    for rank in range(ranks):
        dataset = StreamingDataset(
            local=out,
            shuffle=True,
            shuffle_seed=1,
            batch_size=BATCH // ranks,
            pack=Pack("tokens", to=TO),
            data_parallel_rank=rank,
            data_parallel_size=ranks,
        )
        loader = StreamingDataLoader(dataset, batch_size=BATCH // ranks)
        if state is not None:
            loader.load_state_dict(json.loads(state))
        mine = []
        for batch in loader:
            mine.append({row.tobytes() for row in batch["tokens"].numpy()})
            if len(mine) == stop:
                break
        served.append(mine)
        states.append(json.dumps(loader.state_dict()))
    return [set.union(*parts) for parts in zip(*served, strict=True)], states[0]


def main(out):
    """Print the table, and what a stopped run is."""
    write(out)
    print(f"{DOCUMENTS} documents, {sum(LENGTHS)} tokens\n")
    print("| | rows | filled | documents cut | tokens lost |\n|---|---|---|---|---|")
    describe("group_texts", group_texts())
    describe("ConcatThenSplit", concat_then_split())
    describe("Pack(method='concat')", ours(out, method="concat"))
    describe("DataCollatorWithFlattening", flattening())
    describe("llm-foundry, packing_ratio", foundry())
    describe("Grain, first fit", grain())
    describe("Pack(method='first_fit')", ours(out, method="first_fit"))
    describe("TRL, packing=True", trl())
    describe("Pack(method='best_fit')", ours(out))

    one, two = ({tuple(sorted(row)) for row in grain(workers)} for workers in (1, 2))
    print(f"\nGrain's rows with one worker that are rows with two: {len(one & two)} of {len(one)}")
    whole, _ = batches(out, 1)
    first, state = batches(out, 1, stop=50)
    rest, _ = batches(out, 2, state)
    same = sum(a == b for a, b in zip(first + rest, whole, strict=True))
    print(f"here, stopped after batch 50 and resumed as two ranks: {same} of {len(whole)} batches are the same")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", nargs="?", help="where to write (default: a new temporary directory)")
    out = parser.parse_args().out or tempfile.mkdtemp(prefix="streaming-")
    print(f"Files are written below {out}", file=sys.stderr)
    main(out)
