"""A user's program, which type checkers read and nobody runs. A line that ends with ``# wrong`` is one that they refuse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import assert_type

import streaming
from streaming import (
    CSVWriter,
    JSONWriter,
    LocalDataset,
    MDSWriter,
    Stream,
    StreamingDataLoader,
    StreamingDataset,
    TSVWriter,
    XSVWriter,
    merge_index,
)


class Tokens(StreamingDataset[Tensor]):
    def get_item(self, sample_id: int) -> Tensor:
        return torch.from_numpy(super().get_item(sample_id))


class Renamed(StreamingDataset[int]):
    def get_item(self, index: int) -> int:
        return index


class WithRetry(StreamingDataset[int]):
    def get_item(self, sample_id: int, retry: int = 7) -> int:
        return super().get_item(sample_id, retry)


class Bare(StreamingDataset):
    def get_item(self, idx: int) -> tuple[Tensor, int]:
        return torch.zeros(idx), idx


class ByGetitem(StreamingDataset):
    def __getitem__(self, at: Any) -> Any:
        return super().__getitem__(at)["text"]


class OwnIter(LocalDataset[str]):
    def get_item(self, index: int) -> str:
        return str(index)

    def __iter__(self) -> Iterator[str]:
        return (self[i] for i in range(self.size))


class Wrong(StreamingDataset[int]):
    def get_item(self, index: int) -> str:  # wrong
        return str(index)


def use() -> None:
    tokens = Tokens(remote="s3://bucket/data", batch_size=4, shuffle=True, on_error="skip")
    assert_type(tokens[0], Tensor)
    assert_type(tokens[np.int64(3)], Tensor)
    assert_type(tokens[1:3], list[Tensor])
    assert_type(tokens[[1, 2]], list[Tensor])
    assert_type(tokens[np.array([1, 2])], list[Tensor])
    assert_type(tokens[torch.tensor([True])], list[Tensor])
    assert_type(tokens[[[1], [2]]], list[list[Tensor]])
    assert_type(next(iter(tokens)), Tensor)
    assert_type(Renamed(local="x").get_item(3), int)
    assert_type(OwnIter("x")[-1], str)
    assert_type(LocalDataset("x")[0], Any)
    tokens["text"]  # wrong
    tokens.get_item("text")  # wrong
    Tokens(remote="x", on_error="ignore")  # wrong
    Tokens(remot="x")  # wrong

    loader = StreamingDataLoader(tokens, batch_size=4, num_workers=2, drop_last=True)
    loader.load_state_dict(loader.state_dict())
    for batch in loader:
        print(batch)
    StreamingDataLoader(tokens, batchsize=4)  # wrong
    StreamingDataLoader(tokens, batch_size="4")  # wrong


def write(rows: list[dict[str, Any]]) -> None:
    columns = {"text": "str", "age": "int?"}
    with MDSWriter(
        columns=columns, out=("local", "s3://bucket"), compression="zstd", exist_ok=True, max_workers=3
    ) as out:
        out.write({"text": "a", "age": None})
        out.write("a")  # wrong
    MDSWriter(columns=columns, out="x", comprssion="zstd")  # wrong
    MDSWriter(columns=columns)  # wrong
    MDSWriter(columns=["text"], out="x")  # wrong
    JSONWriter(columns=columns, out="x", newline="\n", progress_bar=True).finish()
    CSVWriter(columns=columns, out="x", retry=1, hashes=["sha1"]).finish()
    TSVWriter(columns=columns, out="x", size_limit="64mb", append=True).finish()
    XSVWriter(columns=columns, out="x", separator="|").finish()
    XSVWriter(columns=columns, out="x")  # wrong
    CSVWriter(columns=columns, out="x", seperator="|")  # wrong

    report = streaming.write(rows, "out", workers=2)
    assert_type(report.samples, int)
    streaming.write(rows, "out", worker=2)  # wrong
    streaming.write(torch.utils.data.TensorDataset(torch.zeros(3)), "out")

    merge_index("root", keep_local=False)
    merge_index(["a/index.json", ("b", "s3://b")], "root", True, 30.0)
    merge_index(index_file_urls=["a"], out=("local", "s3://x"))
    merge_index("root", keep_locl=False)  # wrong
    Stream(remote="s3://bucket", proportion=0.5)
    Stream(remote="s3://bucket", proportoin=0.5)  # wrong
