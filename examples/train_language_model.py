"""Train a small language model from a streamed dataset, stop in the middle, and go on as another job.

The data is the source code of Python's own standard library, tokenised by bytes. It is written once to a remote (a
folder standing in for a bucket, or a real one with ``--remote s3://...``) and streamed, shuffled, into a small
transformer. Half way the run stops; it resumes from its checkpoint as two ranks with other workers; and the recorded
sample ids prove that nothing was repeated or skipped.

    python examples/train_language_model.py
    python examples/train_language_model.py --remote s3://my-bucket/stdlib --steps 300

Under ``torchrun`` each process is a rank, and the job is an ordinary data-parallel one. ``--stop-after`` ends it early; the
next, on any number of nodes and ranks that divides the global batch, goes on from its checkpoint:

    torchrun --nproc-per-node=4 examples/train_language_model.py --stop-after 100
    torchrun --nproc-per-node=2 examples/train_language_model.py
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from streaming import MDSWriter, StreamingDataLoader, StreamingDataset

CONTEXT = 128  # tokens a sample, one more than the model sees at once
GLOBAL_BATCH = 32  # samples a training step, over all ranks


# -- write ---------------------------------------------------------------------------------------


def python_sources() -> Iterator[bytes]:
    """Yield the standard library's source files."""
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py")):
        if "site-packages" not in path.parts and "test" not in path.parts:
            yield path.read_bytes()


def write_dataset(remote: str, num_samples: int) -> int:
    """Cut the sources into samples of ``CONTEXT + 1`` bytes and write them to the remote."""
    columns = {"id": "int", "tokens": f"ndarray:uint8:{CONTEXT + 1}"}
    written = 0
    with MDSWriter(columns=columns, out=remote, compression="zstd", hashes=["xxh64"], size_limit="128kb") as out:
        for source in python_sources():
            tokens = np.frombuffer(source, np.uint8)
            for row in tokens[: len(tokens) // (CONTEXT + 1) * (CONTEXT + 1)].reshape(-1, CONTEXT + 1):
                if written == num_samples:
                    return written
                out.write({"id": written, "tokens": row})
                written += 1
    return written


# -- train ---------------------------------------------------------------------------------------


class LanguageModel(nn.Module):
    """A transformer over bytes."""

    def __init__(self, width: int = 128, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.tokens = nn.Embedding(256, width)
        self.positions = nn.Parameter(torch.zeros(CONTEXT, width))
        block = nn.TransformerEncoderLayer(width, heads, 4 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(block, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, 256)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits of the byte after each one: ``float32[batch, CONTEXT, 256]``."""
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        return self.head(self.blocks(self.tokens(tokens) + self.positions, mask, is_causal=True))


def make_loader(args: argparse.Namespace, workers: int, ranks: int, rank: int | None = None) -> StreamingDataLoader:
    """Build one rank's dataset and loader: what a user writes in a training script."""
    # A rank is found by itself under torchrun; where one process plays every rank, it has to be said.
    played = {} if rank is None else {"data_parallel_rank": rank, "data_parallel_size": ranks}
    dataset = StreamingDataset(
        remote=args.remote,
        local=str(args.out / f"cache{os.environ.get('GROUP_RANK', '')}"),  # one directory a node
        shuffle=True,
        batch_size=GLOBAL_BATCH // ranks,
        num_canonical_nodes=1,
        **played,
    )
    return StreamingDataLoader(dataset, batch_size=GLOBAL_BATCH // ranks, num_workers=workers)


class Trainer:
    """The model, and what is recorded while it trains."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = LanguageModel()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=3e-3)
        self.losses: list[float] = []
        self.ids: list[list[int]] = []  # of each global batch
        self.wait_s = 0.0
        self.step_s = 0.0

    def train(self, loaders: list[StreamingDataLoader], steps: int | None, bar: tqdm[None]) -> None:
        """Take ``steps`` global batches (or all that are left), one share from each rank."""
        iterators = [iter(loader) for loader in loaders]
        while steps is None or steps > 0:
            begin = time.perf_counter()
            shares = [batch for it in iterators if (batch := next(it, None)) is not None]
            ready = time.perf_counter()
            if not shares:
                return
            self.step(shares)
            self.wait_s += ready - begin
            self.step_s += time.perf_counter() - begin
            bar.set_postfix(loss=f"{np.mean(self.losses[-20:]):.3f}", refresh=False)
            bar.update()
            steps = None if steps is None else steps - 1

    def step(self, shares: list[dict[str, Tensor]]) -> None:
        """One optimizer step over the ranks' shares, as data-parallel training averages them."""
        ids = torch.cat([share["id"] for share in shares])
        tokens = torch.cat([share["tokens"] for share in shares]).long()
        logits = self.model(tokens[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        self.optimizer.zero_grad()
        loss.backward()
        if dist.is_initialized():
            ids, loss = self.share(ids, loss)
        self.optimizer.step()
        self.losses.append(loss.item())
        self.ids.append(ids.tolist())

    def share(self, ids: Tensor, loss: Tensor) -> tuple[Tensor, Tensor]:
        """Average gradients and loss over the ranks, whose shares are equally large, and gather the ids."""
        tensors = [p.grad for p in self.model.parameters() if p.grad is not None] + [loss.detach()]
        for tensor in tensors:
            dist.all_reduce(tensor)
            tensor /= dist.get_world_size()
        everyone = [torch.empty_like(ids) for _ in range(dist.get_world_size())]
        dist.all_gather(everyone, ids)
        return torch.cat(everyone), tensors[-1]


# -- the demo ------------------------------------------------------------------------------------


def bytes_under(path: Path) -> int:
    """Return the size of a directory's shard files."""
    return sum(file.stat().st_size for file in path.rglob("shard.*"))


def plot_losses(losses: list[float], stopped_at: int, path: Path) -> None:
    """Draw the loss curve."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    smooth = np.convolve(losses, np.ones(10) / 10, "valid")
    figure, axes = plt.subplots(figsize=(7, 4))
    axes.plot(losses, alpha=0.3, label="each step")
    axes.plot(np.arange(len(smooth)) + 9, smooth, label="mean of 10 steps")
    axes.axvline(stopped_at, color="black", linestyle="--", label="stopped, resumed on 2 ranks")
    axes.set(xlabel="step", ylabel="loss (nats a byte)", title="A byte-level model of Python's standard library")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def train_as_a_rank(args: argparse.Namespace) -> None:
    """Be one rank of a job that torchrun started: begin, or go on from the checkpoint of an earlier job."""
    dist.init_process_group("gloo")
    rank, ranks = dist.get_rank(), dist.get_world_size()
    checkpoint = args.out / "checkpoint.pt"
    if rank == 0 and not checkpoint.exists():
        write_dataset(args.remote, args.steps * GLOBAL_BATCH)
    dist.barrier()

    trainer = Trainer()
    loader = make_loader(args, args.workers, ranks)
    done = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        trainer.model.load_state_dict(state["model"])
        trainer.optimizer.load_state_dict(state["optimizer"])
        loader.load_state_dict(state["data"])
        done = state["steps"]
    with tqdm(total=args.steps, initial=done, desc=f"{ranks} ranks", unit="step", disable=rank != 0) as bar:
        trainer.train([loader], args.stop_after, bar)
    if rank == 0:
        state = {"model": trainer.model.state_dict(), "optimizer": trainer.optimizer.state_dict()}
        torch.save({**state, "data": loader.state_dict(), "steps": done + len(trainer.ids)}, checkpoint)
        with open(args.out / "batches.jsonl", "a") as log:
            log.writelines(
                json.dumps({"ids": ids, "loss": loss}) + "\n"
                for ids, loss in zip(trainer.ids, trainer.losses, strict=True)
            )
    dist.destroy_process_group()


def main() -> None:
    """Write, train, stop, resume, prove."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--remote", help="where the dataset is written (default: a folder under --out)")
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="directory for everything")
    parser.add_argument("--steps", type=int, default=400, help="training steps in the epoch")
    parser.add_argument("--workers", type=int, default=2, help="DataLoader workers of the first run")
    parser.add_argument("--stop-after", type=int, help="under torchrun: steps after which this job ends")
    args = parser.parse_args()
    if "RANK" in os.environ:
        args.remote = args.remote or str(args.out / "remote")
        args.out.mkdir(parents=True, exist_ok=True)
        train_as_a_rank(args)
        return
    shutil.rmtree(args.out / "cache", ignore_errors=True)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.remote is None:
        args.remote = str(args.out / "remote")
        shutil.rmtree(args.remote, ignore_errors=True)

    print(f"Writing the standard library's sources to {args.remote} ...")
    begin = time.perf_counter()
    num_samples = write_dataset(args.remote, args.steps * GLOBAL_BATCH)
    print(f"  {num_samples:,} samples of {CONTEXT + 1} bytes in {time.perf_counter() - begin:.1f} s")

    steps = -(-num_samples // GLOBAL_BATCH)
    stop_at = steps * 2 // 5
    trainer = Trainer()
    checkpoint_path = args.out / "checkpoint.json"
    with tqdm(total=steps, desc="1 rank, 2 workers", unit="step", mininterval=0.5) as bar:
        loader = make_loader(args, args.workers, ranks=1)
        trainer.train([loader], stop_at, bar)
        checkpoint_path.write_text(json.dumps(loader.state_dict()))
        del loader  # the first job ends here, in the middle of the epoch

        bar.set_description("2 ranks, 1 worker each")
        loaders = [make_loader(args, 1, ranks=2, rank=rank) for rank in range(2)]
        for loader in loaders:
            loader.load_state_dict(json.loads(checkpoint_path.read_text()))
        trainer.train(loaders, None, bar)

    seen = np.bincount(np.concatenate(trainer.ids), minlength=num_samples)
    assert (seen == 1).all(), f"{(seen == 0).sum()} samples skipped, {(seen > 1).sum()} repeated"
    print(f"Stopped after step {stop_at}, resumed on 2 ranks: {num_samples:,} samples, each exactly once.")

    picture = args.out / "loss.png"
    plot_losses(trainer.losses, stop_at, picture)
    first, last = np.mean(trainer.losses[:10]), np.mean(trainer.losses[-10:])
    rows = {
        "loss, first and last 10 steps": f"{first:.3f} -> {last:.3f}",
        "samples a second": f"{num_samples / trainer.step_s:,.0f}",
        "waiting for data, share of a step": f"{trainer.wait_s / trainer.step_s:.2%}",
        "bytes on the remote (zstd)": f"{bytes_under(Path(args.remote)):,}" if "://" not in args.remote else "-",
        "bytes in the cache (raw)": f"{bytes_under(args.out / 'cache'):,}",
        "loss curve": str(picture),
    }
    for name, value in rows.items():
        print(f"  {name:36} {value}")


if __name__ == "__main__":
    main()
