"""Batches in pinned memory: as a ``DataLoader`` puts them there, in a thread of its own.

Without an accelerator, PyTorch is told that there is one, whose pinned memory is a copy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from streaming import MDSWriter, StreamingDataLoader, StreamingDataset

NUM_SAMPLES, SIZE = 120, 8
COLUMNS = {
    "rows": {"i": "int", "x": "ndarray:uint16:64"},
    "long text": {"i": "int", "x": "str"},
    "long bytes": {"i": "int", "x": "bytes"},
    "text": {"i": "int", "x": "str"},
    "arrays of many shapes": {"i": "int", "x": "ndarray"},
}


def value(kind: str, i: int) -> Any:
    if kind == "rows":
        return np.full(64, i, np.uint16)
    if kind == "arrays of many shapes":
        return np.full((i // SIZE + 1, 3), i, np.float32)
    text = f"{i} " * (10_000 if "long" in kind else i % 7)
    return text.encode() if kind == "long bytes" else text


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the addresses of what was pinned, where PyTorch cannot say of a tensor that it is."""
    found: list[int] = []
    if torch.cuda.is_available():
        return found

    def pin(tensor: torch.Tensor, device: Any = None) -> torch.Tensor:
        copy = tensor.clone()
        found.append(copy.untyped_storage().data_ptr())
        return copy

    def use(device: int) -> None:
        assert device == 0

    accelerator = torch.accelerator
    monkeypatch.setattr(accelerator, "is_available", lambda: True)
    monkeypatch.setattr(accelerator, "current_accelerator", lambda: torch.device("cuda"))
    monkeypatch.setattr(accelerator, "current_device_index", lambda: 0)
    monkeypatch.setattr(accelerator, "set_device_index", use)
    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    return found


@pytest.mark.parametrize(("workers", "persistent"), [(0, False), (2, False), (2, True)])
@pytest.mark.parametrize("kind", COLUMNS)
def test_batches_in_pinned_memory(tmp_path: Path, kind: str, workers: int, persistent: bool, pinned: list[int]) -> None:
    with MDSWriter(out=str(tmp_path / "data"), columns=COLUMNS[kind], size_limit=1 << 14) as writer:
        for i in range(NUM_SAMPLES):
            writer.write({"i": i, "x": value(kind, i)})
    # In the order of writing, so that the arrays of a batch have one shape.
    dataset = StreamingDataset(local=str(tmp_path / "data"), batch_size=SIZE, num_canonical_nodes=1)
    loader = StreamingDataLoader(
        dataset, batch_size=SIZE, num_workers=workers, pin_memory=True, persistent_workers=persistent
    )
    for _ in range(2):
        seen: list[int] = []
        for batch in loader:
            ids = batch["i"].tolist()
            seen += ids
            for x, i in zip(batch["x"], ids, strict=True):
                expected = value(kind, i)
                assert x == expected if isinstance(x, (str, bytes)) else np.array_equal(x.numpy(), expected)
            for tensor in batch.values():
                if isinstance(tensor, torch.Tensor):
                    assert tensor.untyped_storage().data_ptr() in pinned or tensor.is_pinned()
        assert sorted(seen) == list(range(NUM_SAMPLES))
    assert loader.state_dict() is not None
