"""Find data in a way of your own: register a stream class, and name it where a dataset is made."""

import argparse
import os
import sys
import tempfile

from streaming import MDSWriter, Stream, StreamingDataset
from streaming.base.stream import streams_registry


class CatalogStream(Stream):
    """A stream that is asked for by a dataset's name and version rather than by where it lies."""

    def __init__(self, *, root, name, version, **kwargs):
        """Look the dataset up."""
        kwargs["remote"] = os.path.join(root, "store", name, version)
        kwargs["local"] = os.path.join(root, "cache", name, version)
        super().__init__(**kwargs)


streams_registry.register("catalog", func=CatalogStream)


def main(out):
    """Write two versions, and read them by their names."""
    for version in ("v1", "v2"):
        with MDSWriter(out=f"{out}/store/reviews/{version}", columns={"text": "str"}, exist_ok=True) as writer:
            for i in range(20):
                writer.write({"text": f"{version} review {i}"})

    dataset = StreamingDataset(
        remote="catalog",
        stream_name="catalog",
        stream_config={"root": out, "name": "reviews", "version": "v2"},
        batch_size=4,
    )
    print(type(dataset.streams[0]).__name__, len(dataset), dataset[7])

    mixed = StreamingDataset(
        streams=[CatalogStream(root=out, name="reviews", version=version, choose=10) for version in ("v1", "v2")],
        batch_size=4,
        shuffle=True,
        shuffle_algo="py1s",
        num_canonical_nodes=1,
    )
    print([sample["text"] for sample in mixed])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", nargs="?", help="where to write (default: a new temporary directory)")
    out = parser.parse_args().out or tempfile.mkdtemp(prefix="streaming-")
    print(f"Files are written below {out}", file=sys.stderr)
    main(out)
