"""Train and validate on different patients: no patient is in both parts, also when records are added later."""

import argparse
import sys
import tempfile

import torch

from streaming import MDSWriter, StreamingDataLoader, StreamingDataset

SHARES = {"train": 0.8, "val": 0.2}


def write(out, patients, visits, append):
    """Write some visits of each patient, and who the patient is as a side column."""
    columns = {"patient_id": "str", "dose": "float32", "effect": "float32"}
    with MDSWriter(
        out=out, columns=columns, size_limit=1 << 12, exist_ok=not append, append=append, side_columns="patient_id"
    ) as writer:
        for patient in patients:
            for visit in visits:
                dose = (patient * 7 + visit * 3) % 10
                writer.write({"patient_id": f"p{patient}", "dose": dose, "effect": 3 * dose + patient % 5})


def split(data):
    """Return both parts of the dataset as it is now."""
    dataset = StreamingDataset(local=data, shuffle=True, batch_size=16)
    return dataset.split(SHARES, by="patient_id", seed=1)


def patients_of(dataset):
    """Return who is in a part."""
    return set(dataset.map(lambda sample: sample["patient_id"])[:])


def train(dataset):
    """Fit a line to the effect of a dose."""
    torch.manual_seed(1)
    line = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(line.parameters(), lr=0.01)
    for _ in range(10):
        for batch in StreamingDataLoader(dataset, batch_size=16):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(line(batch["dose"][:, None])[:, 0], batch["effect"]).backward()
            optimizer.step()
    return line


@torch.no_grad()
def error(line, dataset):
    """Return the mean absolute error over a part."""
    batches = list(StreamingDataLoader(dataset, batch_size=16))
    missed = [(line(batch["dose"][:, None])[:, 0] - batch["effect"]).abs() for batch in batches]
    return torch.cat(missed).mean().item()


def main(out):
    """Write, split, train and validate; then add records, and split again."""
    data = f"{out}/visits"
    write(data, range(200), range(5), append=False)
    parts = split(data)
    before = {name: patients_of(part) for name, part in parts.items()}
    print({name: (part.size, len(before[name])) for name, part in parts.items()}, before["train"] & before["val"])
    line = train(parts["train"])
    print(f"validated on others: {error(line, parts['val']) < 2}")

    write(data, range(150, 300), range(5, 8), append=True)  # old patients again, and new ones
    parts = split(data)
    after = {name: patients_of(part) for name, part in parts.items()}
    print({name: (part.size, len(after[name])) for name, part in parts.items()}, after["train"] & after["val"])
    print(f"nobody moved: {before['train'] <= after['train'] and before['val'] <= after['val']}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", nargs="?", help="where to write (default: a new temporary directory)")
    out = parser.parse_args().out or tempfile.mkdtemp(prefix="streaming-")
    print(f"Files are written below {out}", file=sys.stderr)
    try:
        main(out)
    except ImportError as error:  # a package is not installed; the text says which
        sys.exit(str(error))
