"""Ray Train: its workers split the data as ranks, and another number of them resumes in the middle of the epoch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import pytest

from streaming import StreamingDataLoader

import sample_data
from sample_data import ids_of, open_kind, write_kinds

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")

PROGRAM = """
import json, os, sys, tempfile

def train(config):
    import ray.train, ray.train.torch, torch.distributed as dist
    from sample_data import open_kind
    from streaming import StreamingDataLoader

    batch = 8 // dist.get_world_size()
    loaders = {}
    for kind in "stored", "all":
        data = open_kind(kind, config["remote"], config["local"] + kind, batch_size=batch, shuffle=True,
                         num_canonical_nodes=1)
        loaders[kind] = StreamingDataLoader(data, batch_size=batch, num_workers=1)
        if config["resume"] is not None:
            with open(os.path.join(config["resume"], kind + ".json")) as file:
                loaders[kind].load_state_dict(json.load(file))
    for step, batches in enumerate(zip(*map(ray.train.torch.prepare_data_loader, loaders.values()))):
        for kind, samples in zip(loaders, batches):
            share = [None] * dist.get_world_size()
            dist.all_gather_object(share, samples["id"].tolist())
            if dist.get_rank() == 0:
                with open(config["log"] + kind, "a") as log:
                    log.write(json.dumps(sorted(sum(share, []))) + "\\n")
        if step + 1 == config["stop_after"]:
            with tempfile.TemporaryDirectory() as folder:
                for kind, loader in loaders.items():
                    with open(os.path.join(folder, kind + ".json"), "w") as file:
                        json.dump(loader.state_dict(), file)
                ray.train.report({}, checkpoint=ray.train.Checkpoint.from_directory(folder))
            break

def fit(workers, **config):
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    return TorchTrainer(
        train, train_loop_config={**paths, **config},
        scaling_config=ScalingConfig(num_workers=workers, resources_per_worker={"CPU": 0.5}),
        run_config=RunConfig(storage_path=os.path.join(os.environ["HOME"], "results")),
    ).fit()

if __name__ == "__main__":
    import ray

    paths, resume, fits = json.loads(sys.argv[1])
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=80 << 20, _temp_dir=sys.argv[2])
    for workers, stop_after in fits:
        resume = fit(workers, stop_after=stop_after, resume=resume).checkpoint.path
    print(resume)
    ray.shutdown()
"""


def read_alone(kind: str, remote: str, state: Path, steps: int | None) -> list[list[int]]:
    """Read as the only rank of no job, from a checkpoint and up to one."""
    data = open_kind(kind, remote, batch_size=8, shuffle=True, num_canonical_nodes=1)
    loader = StreamingDataLoader(data, batch_size=8)
    if state.exists():
        loader.load_state_dict(json.loads(state.read_text()))
    found = [sorted(batch["id"].tolist()) for batch in islice(loader, steps)]
    state.write_text(json.dumps(loader.state_dict()))
    return found


@pytest.mark.parametrize("fits", [[(2, 20)], pytest.param([(2, 10), (1, 10)], marks=pytest.mark.long)], ids=str)
def test_two_workers_then_one(tmp_path: Path, fits: list[tuple[int, int]]) -> None:
    """Begun by one, gone on with in Ray by two, and then by one again, in Ray or not."""
    remote, log, kinds = write_kinds(str(tmp_path / "remote"), 480), str(tmp_path / "log"), ("stored", "all")
    begun = {kind: read_alone(kind, remote, tmp_path / f"{kind}.json", 10) for kind in kinds}
    paths = {"remote": remote, "local": str(tmp_path / "cache"), "log": log}
    program = tmp_path / "train.py"
    program.write_text(PROGRAM)
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "PYTHONPATH": os.pathsep.join([os.path.dirname(sample_data.__file__), os.environ.get("PYTHONPATH", "")]),
        "RAY_AUTH_MODE": "disabled",
        "RAY_TRAIN_V2_ENABLED": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_prestart_worker_first_driver": "0",  # processes begin when there is something for them
        "RAY_worker_niceness": "0",  # else other processes can keep its workers from ever running
        # On a busy machine its processes are slow to answer, not dead.
        "RAY_health_check_timeout_ms": "120000",
        "RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S": "240",
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "240",
        "OMP_NUM_THREADS": "1",
    }
    # The paths of its sockets must be short.
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as short:
        done = subprocess.run(
            [sys.executable, str(program), json.dumps([paths, str(tmp_path), fits]), short],
            capture_output=True, text=True, timeout=280, check=False, env=environment,
        )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    for kind in kinds:
        batches = begun[kind] + [json.loads(line) for line in Path(log + kind).read_text().splitlines()]
        assert len(batches) == 30
        batches += read_alone(kind, remote, Path(done.stdout.splitlines()[-1]) / f"{kind}.json", None)
        (tmp_path / f"{kind}.json").unlink()
        assert batches == read_alone(kind, remote, tmp_path / f"{kind}.json", None)
        assert sorted(i for batch in batches for i in batch) == ids_of(kind, 480)
