"""Checkpoints: what is saved, and whether what is loaded fits."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from streaming.core.errors import CheckpointError
from streaming.core.world import worker_of_process

__all__ = ["check_state", "drawn_by_workers", "drawn_of_worker", "restored_samples", "settings_of"]

#: Keys that the original library writes, all of which it needs.
CLASSIC_KEYS = ("epoch", "sample_in_epoch", "num_canonical_nodes", "shuffle_seed", "initial_physical_nodes")
#: Keys that a checkpoint brings into the run, in place of what the arguments say.
_ADOPTED = ("num_canonical_nodes", "shuffle_seed", "initial_physical_nodes", "shuffle_algo", "shuffle_block_size")
#: Keys that must be equal, with what to do about each.
_COMPARED = {
    "dataset": "the shards differ: point the dataset at the data that the checkpoint was trained on",
    "epoch_size": "pass the same epoch_size and stream weights",
    "weights": "pass the same stream weights",
    "shuffle": "pass the same shuffle",
    "batching_method": "pass the same batching_method",
    "sampling_method": "pass the same sampling_method",
    "sampling_granularity": "pass the same sampling_granularity",
    "order_version": "use a version of this library that knows this order",
}


def check_state(state: Mapping[str, Any], present: Mapping[str, Any]) -> None:
    """Check that a checkpoint can be resumed with the present dataset and arguments.

    Args:
        state: The checkpoint.
        present: What a checkpoint of the present dataset would say.

    Raises:
        CheckpointError: It cannot; the text says what differs, key by key, and how to go on.
    """
    differences = [
        f"  {key}: checkpoint {state[key]!r}, now {present[key]!r} - {advice}"
        for key, advice in _COMPARED.items()
        if state.get(key) is not None and key in present and state[key] != present[key]
    ]
    if state.get("units") != present.get("units"):
        differences.append(
            f"  units: checkpoint {_units(state)}, now {_units(present)} - choose the same samples: the same view, filter, "
            "split, flat_map, join, pack or bucket"
        )
    if state.get("balance") != present.get("balance") and state.get("sample_in_epoch"):
        differences.append(
            f"  balance: checkpoint {state.get('balance')!r}, now {present.get('balance')!r} - give the loader the same "
            "balance, before the checkpoint is loaded"
        )
    if differences:
        raise CheckpointError(
            "The checkpoint does not fit this dataset:\n"
            + "\n".join(differences)
            + "\nTo begin a new run on this data instead, do not load the checkpoint."
        )
    _warn_of_files(state.get("files"), present.get("files"))


def _warn_of_files(saved: Any, present: Any) -> None:
    """Warn if the data are not those of the checkpoint, though there are as many samples in each shard."""
    then, now = str(saved).split("."), str(present).split(".")
    if saved is None or present is None or then == now or len(then) != len(now):
        return
    what = "names, sizes or hashes of the files differ"
    if then[0] == now[0]:
        if then[1] != now[1]:  # a copy
            return
        what = "the files were written again, with the same names and sizes"
    warnings.warn(
        f"The data are not those that the checkpoint was made with: {what}. The run continues in the same order, over what "
        "is there now. If samples changed, point the dataset at the data of the checkpoint, or begin a new run.",
        stacklevel=2,
    )


def _units(state: Mapping[str, Any]) -> str:
    found = state.get("units")
    return "every row" if found is None else repr(found)


def settings_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint sets in place of the arguments.

    A checkpoint without ``shuffle_algo`` was written by the original library.
    """
    return {key: state[key] for key in _ADOPTED if state.get(key) is not None}


def restored_samples(worker: Any, in_worker: bool) -> int:
    """Return how many samples of its own a worker has yielded, by the checkpoint that it made itself.

    Args:
        worker: The checkpoint's ``worker``: index, number of workers, samples; ``None`` in others.
        in_worker: Whether this process is a worker.

    Raises:
        CheckpointError: The checkpoint is another worker's, or of another number of workers.
    """
    if worker is None:
        return 0
    index, count, samples = (int(value) for value in worker)
    if not in_worker or (index, count) != worker_of_process():
        raise CheckpointError(
            f"This checkpoint was made by worker {index} of {count} for itself. Load it in that worker, as torchdata's "
            "StatefulDataLoader does with the same num_workers, or checkpoint with StreamingDataLoader, which resumes with "
            "any number of workers."
        )
    return samples


def drawn_by_workers(own: Any, rank: int, num_ranks: int) -> tuple[int, ...]:
    """Return how many samples of its own each worker of this rank has drawn, by the checkpoint that this rank made.

    Args:
        own: The checkpoint's ``workers``: rank and number of ranks, samples by worker; ``None`` in others.
        rank: This rank, among those that get different samples.
        num_ranks: Number of those.

    Raises:
        CheckpointError: The checkpoint is another rank's, or not one.
    """
    if own is None:
        return ()
    try:
        made_by = tuple(int(value) for value in own["rank"])
        drawn = tuple(int(value) for value in own["drawn"])
    except (TypeError, LookupError, ValueError, OverflowError):
        made_by, drawn = (), ()
    if len(made_by) != 2 or not drawn or min(drawn) < 0:
        raise CheckpointError(f"The checkpoint has workers={own!r}. It was not written by state_dict().")
    if made_by != (rank, num_ranks):
        raise CheckpointError(
            f"This checkpoint was made by rank {made_by[0]} of {made_by[1]} for itself, and this is rank {rank} of "
            f"{num_ranks}: the dataset's own __iter__ (or its batches) draws another number of samples on each rank. Save "
            "and load the state of every rank, with the same number of ranks."
        )
    return drawn


def drawn_of_worker(drawn: tuple[int, ...], worker: int, num_workers: int) -> int:
    """Return how many samples a worker has drawn before the checkpoint.

    Raises:
        CheckpointError: The checkpoint is of another number of workers.
    """
    if len(drawn) != num_workers:
        raise CheckpointError(
            f"This checkpoint counts what each of {len(drawn)} worker(s) has drawn, and the DataLoader has {num_workers}. "
            "Continue with as many as before: what was drawn is not the beginning of the epoch's order, from which any "
            "number could go on."
        )
    return drawn[worker]
