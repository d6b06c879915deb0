"""Checkpoint a loader with the model, and go on in the middle of the epoch with other workers."""

import json
import sys

from streaming import MDSWriter, StreamingDataLoader, StreamingDataset

out = sys.argv[1]
with MDSWriter(out=f"{out}/remote", columns={"n": "int"}, size_limit=1 << 9) as writer:
    for n in range(400):
        writer.write({"n": n})


def make_loader(workers):
    """What both runs execute."""
    dataset = StreamingDataset(
        remote=f"{out}/remote", local=f"{out}/local{workers}", shuffle=True, shuffle_algo="py1br", batch_size=20,
        num_canonical_nodes=2, shuffle_block_size=1 << 12,
    )  # fmt: skip
    return StreamingDataLoader(dataset, batch_size=20, num_workers=workers)


loader = make_loader(workers=2)
seen = []
for batch in loader:
    seen += batch["n"].tolist()
    if len(seen) == 160:
        checkpoint = json.dumps(loader.state_dict())
        break

state = json.loads(checkpoint)
print({key: state[key] for key in ("epoch", "sample_in_epoch", "num_canonical_nodes", "shuffle_seed")})

resumed = make_loader(workers=1)
resumed.load_state_dict(state)
for batch in resumed:
    seen += batch["n"].tolist()
print(seen[150:170], sorted(seen) == list(range(400)))
