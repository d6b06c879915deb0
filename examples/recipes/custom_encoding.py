"""Store a type of your own: register an encoding under a name, and use the name as a column's type."""

import argparse
import sys
import tempfile
from datetime import date

import numpy as np

from streaming import MDSWriter, StreamingDataset
from streaming.base.format.mds.encodings import Encoding, _encodings


class Date(Encoding):
    """A day, as the number of days since the year 1: four bytes."""

    size = 4

    def encode(self, obj):
        """Store a date."""
        self._validate(obj, date)
        return np.uint32(obj.toordinal()).tobytes()

    def decode(self, data):
        """Restore it."""
        return date.fromordinal(int(np.frombuffer(data, np.uint32)[0]))


class Sparse(Encoding):
    """A sparse vector, as indices and values."""

    def encode(self, obj):
        """Store ``{index: value}``."""
        return np.array(list(obj), np.uint32).tobytes() + np.array(list(obj.values()), np.float32).tobytes()

    def decode(self, data):
        """Restore it."""
        half = len(data) // 2
        indices, values = np.frombuffer(data[:half], np.uint32), np.frombuffer(data[half:], np.float32)
        return dict(zip(indices.tolist(), values.tolist(), strict=True))


_encodings["date"] = Date
_encodings["sparse"] = Sparse


def main(out):
    """Write such columns, and read them."""
    with MDSWriter(out=out, columns={"day": "date", "features": "sparse"}, size_limit=1 << 10, exist_ok=True) as writer:
        for i in range(100):
            writer.write({"day": date.fromordinal(730_000 + i), "features": {i: 0.5, 2 * i + 1: 1.5}})

    dataset = StreamingDataset(local=out, batch_size=1)
    print(dataset[3])
    print([sample["day"].isoformat() for sample in dataset][-3:])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", nargs="?", help="where to write (default: a new temporary directory)")
    out = parser.parse_args().out or tempfile.mkdtemp(prefix="streaming-")
    print(f"Files are written below {out}", file=sys.stderr)
    main(out)
