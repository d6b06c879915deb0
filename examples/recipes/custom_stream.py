"""Find data in a way of your own: register a stream class, and name it where a dataset is made."""

import os
import sys

from streaming import MDSWriter, Stream, StreamingDataset
from streaming.base.stream import streams_registry

out = sys.argv[1]
for version in ("v1", "v2"):
    with MDSWriter(out=f"{out}/store/reviews/{version}", columns={"text": "str"}) as writer:
        for i in range(20):
            writer.write({"text": f"{version} review {i}"})


class CatalogStream(Stream):
    """A stream that is asked for by a dataset's name and version rather than by where it lies."""

    def __init__(self, *, name, version, **kwargs):
        """Look the dataset up."""
        kwargs["remote"] = os.path.join(out, "store", name, version)
        kwargs["local"] = os.path.join(out, "cache", name, version)
        super().__init__(**kwargs)


streams_registry.register("catalog", func=CatalogStream)

dataset = StreamingDataset(
    remote="catalog",
    stream_name="catalog",
    stream_config={"name": "reviews", "version": "v2"},
    batch_size=4,
)
print(type(dataset.streams[0]).__name__, len(dataset), dataset[7])

mixed = StreamingDataset(
    streams=[CatalogStream(name="reviews", version=version, choose=10) for version in ("v1", "v2")],
    batch_size=4,
    shuffle=True,
    shuffle_algo="py1s",
    num_canonical_nodes=1,
)
print([sample["text"] for sample in mixed])
