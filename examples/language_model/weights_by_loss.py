"""Give more to streams that a model has more to learn from: weights by excess loss, changed live, stopped and resumed.

Every 20 steps, each stream gets a share that follows what its loss has above the lowest that it can reach. Half way the run
stops. It goes on from its checkpoint as two ranks, with the weights that were set, and its batches are those of a run that
never stopped.

    python examples/language_model/weights_by_loss.py
"""

import argparse
import json
import math
import sys
import tempfile

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from streaming import MDSWriter, Phase, Schedule, Stream, StreamingDataLoader, StreamingDataset

BATCH, EVERY, AHEAD = 32, 20, 8  # samples of a global batch; steps between changes; steps until one holds
#: Of each stream, tokens, and how many of them may follow each. What cannot be guessed is the loss that can be reached.
STREAMS = {"small": (20, 2), "middle": (100, 4), "large": (400, 2)}
REACHABLE = {name: math.log(follow) for name, (_, follow) in STREAMS.items()}


def write(out):
    """Write the streams: documents of 33 tokens, in which a few may follow each."""
    first = 0
    for number, (name, (tokens, follow)) in enumerate(STREAMS.items()):
        rng = np.random.default_rng(number)
        successors = rng.integers(first, first + tokens, (tokens, follow))
        columns = {"id": "int32", "stream": "int32", "tokens": "ndarray:uint16:33"}
        with MDSWriter(columns=columns, out=f"{out}/{name}", size_limit=1 << 15, exist_ok=True) as writer:
            for i in range(1000):
                document = [first + int(rng.integers(tokens))]
                while len(document) < 33:
                    document.append(int(successors[document[-1] - first, rng.integers(follow)]))
                ids = {"id": np.int32(1000 * number + i), "stream": np.int32(number)}
                writer.write({**ids, "tokens": np.array(document, np.uint16)})
        first += tokens


def by_loss(losses, temperature=0.5, floor=0.05):
    """Return weights: a softmax of excess losses. No stream gets less than ``floor`` of what is shared.

    The higher the temperature, the more alike they are.
    """
    excess = {name: max(loss - REACHABLE[name], 0.0) for name, loss in losses.items()}
    most = max(excess.values())
    raw = {name: math.exp((value - most) / temperature) for name, value in excess.items()}
    total, rest = sum(raw.values()), 1 - floor * len(raw)
    # Rounded, they do not depend on the order in which losses were added up.
    return {name: round(floor + rest * value / total, 2) for name, value in raw.items()}


class Run:
    """A model and its optimizer, the streams' losses since the last change, and the ids that were served."""

    def __init__(self):
        torch.manual_seed(0)
        vocabulary = sum(tokens for tokens, _ in STREAMS.values())
        self.model = nn.Sequential(nn.Embedding(vocabulary, 64), nn.Linear(64, vocabulary))
        self.optimizer = torch.optim.AdamW(self.model.parameters(), 1e-2)
        self.sums = torch.zeros(2, len(STREAMS), dtype=torch.float64)  # of losses, and of tokens
        self.step, self.ids = 0, []

    def state_dict(self):
        """Return everything that a run goes on from, besides its data."""
        parts = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        return {**parts, "sums": self.sums.clone(), "step": self.step}

    def load_state_dict(self, state):
        """Go on from there."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.sums, self.step = state["sums"].clone(), state["step"]

    def train(self, shares):
        """Take a step on what all ranks have received."""
        tokens = torch.cat([share["tokens"] for share in shares]).long()
        stream = torch.cat([share["stream"] for share in shares]).long()
        losses = F.cross_entropy(self.model(tokens[:, :-1]).transpose(1, 2), tokens[:, 1:], reduction="none").sum(1)
        self.optimizer.zero_grad()
        (losses.sum() / tokens[:, 1:].numel()).backward()
        self.optimizer.step()
        # On several machines, all_reduce these sums before they become weights: each rank has to set the same.
        self.sums[0].index_add_(0, stream, losses.detach().double())
        self.sums[1].index_add_(0, stream, torch.full((len(stream),), 32.0, dtype=torch.float64))
        self.ids.append(sorted(int(i) for share in shares for i in share["id"]))
        self.step += 1

    def weights(self):
        """Return new weights, and count losses anew. A stream of which nothing was seen counts as learnt."""
        means = (self.sums[0] / self.sums[1].clamp(1)).tolist()
        self.sums.zero_()
        return by_loss(dict(zip(STREAMS, means, strict=True)))


def make_loader(out, ranks, rank, workers):
    """Build the loader of one rank. The streams begin with equal shares."""
    dataset = StreamingDataset(
        streams={name: Stream(local=f"{out}/{name}") for name in STREAMS},
        mix=Schedule([Phase(0, dict.fromkeys(STREAMS, 1))]),
        shuffle=True,
        batch_size=BATCH // ranks,
        num_canonical_nodes=1,
        data_parallel_rank=rank,  # one process plays all ranks here; under torchrun they are found
        data_parallel_size=ranks,
    )
    return StreamingDataLoader(dataset, batch_size=BATCH // ranks, num_workers=workers)


def go_on(run, loaders, until):
    """Train until a step; every few steps, set weights."""
    for shares in zip(*loaders, strict=True):
        run.train(shares)
        if run.step % EVERY == 0:
            weights = run.weights()
            # The same position whatever the workers have begun: `at` has to be beyond num_workers * prefetch_factor.
            begins = {loader.dataset.set_weights(weights, at=(run.step + AHEAD) * BATCH) for loader in loaders}
            print(f"step {run.step:3}, from batch {begins.pop():3} on: {weights}")
        if run.step == until:
            return


def main(out):
    """Train without a stop, then with one."""
    torch.set_num_threads(1)
    write(out)
    print("never stopped")
    never = Run()
    go_on(never, [make_loader(out, 1, 0, 0)], 120)

    print("stopped after step 65")
    first, loader = Run(), make_loader(out, 1, 0, 2)
    go_on(first, [loader], 65)
    data, rest = json.dumps(loader.state_dict()), first.state_dict()

    print("resumed as two ranks")
    second = Run()
    second.load_state_dict(rest)
    loaders = [make_loader(out, 2, rank, 1) for rank in range(2)]
    for loader in loaders:
        loader.load_state_dict(json.loads(data))
    go_on(second, loaders, 120)
    print("the same batches:", first.ids + second.ids == never.ids)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", nargs="?", help="where to write (default: a new temporary directory)")
    out = parser.parse_args().out or tempfile.mkdtemp(prefix="streaming-")
    print(f"Files are written below {out}", file=sys.stderr)
    main(out)
