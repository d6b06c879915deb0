"""Where a process stands: launcher variables, replication, meshes."""

from __future__ import annotations

from typing import Any

import pytest

from streaming.core.world import Ranks, World, detect_ranks, ranks_of_mesh


def test_alone() -> None:
    assert detect_ranks({}) == Ranks()


def test_torchrun() -> None:
    env = {"RANK": "9", "WORLD_SIZE": "16", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "8"}
    found = detect_ranks(env)
    assert (found.rank, found.num_ranks, found.ranks_per_node) == (9, 16, 8)
    world = World.of_ranks(found, 4, 3)
    assert (world.node, world.rank_of_node, world.worker, world.worker_of_node) == (1, 1, 39, 7)
    assert world.num_nodes == 2
    assert world.is_multinode
    assert not world.is_leader
    assert world.num_workers == 64


def test_slurm() -> None:
    env = {"SLURM_PROCID": "5", "SLURM_NTASKS": "8", "SLURM_STEP_ID": "0", "SLURM_NNODES": "2"}
    found = detect_ranks(env)
    assert (found.rank, found.num_ranks, found.ranks_per_node, found.source) == (5, 8, 4, "SLURM")
    assert detect_ranks({**env, "SLURM_STEP_NUM_NODES": "0"}).ranks_per_node == 1
    # A batch script that starts python by itself is one process, whatever the allocation says.
    del env["SLURM_STEP_ID"]
    assert detect_ranks(env) == Ranks()


@pytest.mark.parametrize(
    "env",
    [
        {"RANK": "x", "WORLD_SIZE": "2"},
        {"RANK": "2", "WORLD_SIZE": "2"},
        {"RANK": "0", "WORLD_SIZE": "3", "LOCAL_WORLD_SIZE": "2"},
        {"WORLD_SIZE": "2"},
        {"RANK": "", "WORLD_SIZE": "2"},
    ],
)
def test_contradictions_are_refused(env: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="RANK|every node"):
        detect_ranks(env)


@pytest.mark.parametrize(
    ("world", "replication", "expected"),
    [
        ((2, 8, 2, 0), 2, (1, 8, 0, 0, 0, 8)),
        ((2, 8, 2, 31), 2, (1, 8, 0, 7, 1, 8)),
        ((2, 8, 2, 17), 4, (1, 4, 0, 2, 1, 4)),
        ((3, 8, 1, 20), 2, (1, 12, 0, 10, 0, 12)),
        ((4, 8, 1, 31), 8, (1, 4, 0, 3, 0, 4)),
        ((2, 8, 1, 15), 16, (1, 1, 0, 0, 0, 1)),
        ((2, 8, 1, 9), 1, (2, 8, 1, 1, 0, 16)),
    ],
)
def test_replicate(world: tuple[int, int, int, int], replication: int, expected: tuple[int, ...]) -> None:
    w = World(*world).replicate(replication)
    found = (w.num_nodes, w.ranks_per_node, w.node, w.rank_of_node, w.worker_of_rank, w.num_ranks)
    assert found == expected


@pytest.mark.parametrize("replication", [0, -1, 3])
def test_bad_replication(replication: int) -> None:
    with pytest.raises(ValueError, match="replication"):
        World(2, 8, 1, 0).replicate(replication)


class Mesh:
    """The part of a DeviceMesh that is looked at."""

    def __init__(self, shape: dict[str, int], coordinate: list[int]) -> None:
        self.mesh_dim_names = tuple(shape)
        self._shape = list(shape.values())
        self._coordinate = coordinate

    def size(self, dim: int | None = None) -> int:
        if dim is not None:
            return self._shape[dim]
        total = 1
        for extent in self._shape:
            total *= extent
        return total

    def get_coordinate(self) -> list[int]:
        return self._coordinate


def test_mesh_ranks_that_share() -> None:
    shape = {"dp_replicate": 2, "dp_shard": 2, "tp": 4}
    places = {ranks_of_mesh(Mesh(shape, [1, 0, tp]), ["dp_replicate", "dp_shard"]).rank for tp in range(4)}
    assert places == {2}


def test_mesh_unknown_dimension() -> None:
    mesh: Any = Mesh({"dp": 2}, [0])
    with pytest.raises(ValueError, match="data dimensions"):
        ranks_of_mesh(mesh, ["ddp"])
