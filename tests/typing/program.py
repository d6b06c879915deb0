"""A user's program, which type checkers read and nobody runs. A line that ends with ``# wrong`` is one that they refuse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
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
from streaming.core.names import AnyName
from streaming.core.registry import Registry
from streaming.format.encodings import Encoding, encodings
from streaming.multimodal import StreamingInsideWebVid, StreamingOutsideGIWebVid
from streaming.order.registry import shuffle_algos
from streaming.storage.ranged import RangedStore
from streaming.storage.registry import open_store
from streaming.storage.store import ObjectInfo, Store
from streaming.text import StreamingC4
from streaming.trainers.huggingface import StreamingTrainerMixin
from streaming.vision import StreamingADE20K, StreamingCIFAR10, StreamingCOCO


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


class TextOnly(LocalDataset[dict[str, str]]):
    def __getitem__(self, at: Any) -> Any:
        return self.get_item(at)["text"]


class WithArguments(StreamingDataset[dict[str, Tensor]]):
    def __init__(self, remote: str, tokens: int, batch_size: int | None = None) -> None:
        super().__init__(remote=remote, batch_size=batch_size, on_error="skip")
        self.tokens = tokens

    def get_item(self, i: int) -> dict[str, Tensor]:
        return {"tokens": torch.zeros(self.tokens)}


class WrongGetitem(StreamingDataset[int]):
    def __getitem__(self, at: str) -> int:  # wrong
        return len(at)


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
    Tokens("x")  # wrong
    tokens[1.5]  # wrong
    assert_type(LocalDataset[str](Path("x"), split="train")[::2], list[str])
    LocalDataset("x", splt="train")  # wrong
    assert_type(WithArguments("x", 4)[0], dict[str, Tensor])
    assert_type(tokens.size, int)
    assert_type(tokens.epoch_size, int)
    for sample in tokens:
        assert_type(sample, Tensor)
    tokens.skip_batches([(1, 2)])
    tokens.skip_batches("12")  # wrong


def names(configured: str) -> None:
    StreamingDataset(
        remote=Path("x"),
        shuffle_algo="py1e",
        batching_method="stratified",
        sampling_method="fixed",
        partition_algo="orig",
    )
    StreamingDataset(
        remote="x", shuffle_algo=AnyName("mine"), validate_hash="xxh3_64", batching_method=AnyName(configured)
    )
    StreamingDataset(remote="x", shuffle_algo="py1d")  # wrong
    StreamingDataset(remote="x", shuffle_algo=configured)  # wrong
    StreamingDataset(remote="x", batching_method="per_steam")  # wrong
    StreamingDataset(remote="x", sampling_method="balance")  # wrong
    StreamingDataset(remote="x", partition_algo="relax")  # wrong
    StreamingDataset(remote="x", validate_hash="xxhash")  # wrong
    StreamingDataset(remote="x", batch_size="4")  # wrong
    StreamingDataset(streams=Stream(remote="x"))  # wrong
    Stream(remote="x", validate_hash="sha255")  # wrong
    Stream(remote=3)  # wrong
    MDSWriter(columns={"x": "int"}, out=Path("x"), compression="gz:9", hashes=["md5", "sha1"]).finish()
    MDSWriter(columns={"x": "int"}, out="x", compression=AnyName(configured)).finish()
    MDSWriter(columns={"x": "int"}, out="x", compression="zstd:23")  # wrong
    MDSWriter(columns={"x": "int"}, out="x", hashes=["sha255"])  # wrong
    JSONWriter(columns={"x": "int"}, out="x", compression="gzip")  # wrong
    streaming.write([{"x": 1}], "out", compression="zip")  # wrong
    streaming.write([{"x": 1}], "out", hashes="sha1")  # wrong


def corpora() -> None:
    StreamingC4(remote="x", tokenizer_name="t", max_seq_len=8, group_method="truncate", batch_size=4)
    StreamingC4(remote="x", tokenizer_name="t", max_seq_len=8, group_method="concat")  # wrong
    StreamingC4(remot="x", tokenizer_name="t", max_seq_len=8, group_method="truncate")  # wrong
    StreamingCIFAR10(remote="x", batch_size=4, shuffle=True, transform=torch.zeros_like)
    StreamingCIFAR10(remote="x")  # wrong
    StreamingCIFAR10(remote="x", batch_size=4, shufle=True)  # wrong
    StreamingADE20K(remote="x", joint_transform=None, shuffle_algo="py2s")
    StreamingADE20K(remote="x", shuffle_algo="py3s")  # wrong
    StreamingCOCO(remote="x", transform=3)  # wrong
    StreamingInsideWebVid(remote="x", shuffle=True)
    StreamingOutsideGIWebVid(remote="x", extra_local="y", extra_remote="z", epoch_size="10k")
    StreamingOutsideGIWebVid(remote="x", extra_locl="y")  # wrong
    StreamingTrainerMixin().train(resume_from_checkpoint=True)
    StreamingTrainerMixin().train(resume=True)  # wrong


class Memory(RangedStore):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.objects: dict[str, bytes] = {}

    def get_range(self, path: str, start: int, end: int) -> bytes:
        return self.objects[path][start:end]

    def head(self, path: str) -> ObjectInfo:
        return ObjectInfo(path, len(self.objects[path]))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return (self.head(path) for path in sorted(self.objects) if path.startswith(prefix))

    def put(self, path: str, source: str | bytes) -> None:
        self.objects[path] = Path(source).read_bytes() if isinstance(source, str) else source

    def delete(self, path: str) -> None:
        self.objects.pop(path, None)


class Reversed(Encoding):
    def encode(self, obj: str) -> bytes:
        return obj.encode()[::-1]

    def decode(self, data: bytes) -> str:
        return data[::-1].decode()


def extend() -> None:
    store: Store = Memory("memory://x")
    assert_type(store.get("x"), bytes)
    RangedStore("x")  # wrong
    open_store("x").put("a", b"b")
    open_store("x").put("a", 1)  # wrong
    encodings["reversed"] = Reversed
    shuffle_algos["mine"] = "package.module:attribute"
    Registry[int]("number", {"one": 1})["two"] = 2
    Registry[int]("number", {"one": 1})["two"] = 2.5  # wrong


def load(tokens: Tokens) -> None:
    loader = StreamingDataLoader(tokens, batch_size=4, num_workers=2, drop_last=True)
    loader.load_state_dict(loader.state_dict())
    for batch in loader:
        print(batch)
    StreamingDataLoader(tokens, batchsize=4)  # wrong
    StreamingDataLoader(tokens, batch_size="4")  # wrong
    StreamingDataLoader(tokens, collate_fn=torch.stack, num_workers=1.5)  # wrong
    for batch in DataLoader(tokens, batch_size=4, num_workers=2):
        print(batch)


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
    for writer in (JSONWriter, CSVWriter, TSVWriter):
        with writer(columns=columns, out="x") as text:
            text.write({"text": "a"})
    with XSVWriter(columns=columns, out="x", separator="|") as separated:
        assert_type(separated, XSVWriter)
    MDSWriter(columns, "x")  # wrong
    MDSWriter(columns=columns, out=3)  # wrong
    MDSWriter(columns=columns, out="x", size_limit=1.5)  # wrong
    MDSWriter(columns={"x": int}, out="x")  # wrong
    CSVWriter(columns=columns, out="x", seperator="|")  # wrong

    report = streaming.write(rows, "out", workers=2)
    assert_type(report.samples, int)
    streaming.write(rows, "out", worker=2)  # wrong
    streaming.write(torch.utils.data.TensorDataset(torch.zeros(3)), "out")
    streaming.write(({"text": str(i)} for i in range(3)), ("local", "s3://bucket"), {"text": "str"})
    streaming.write(iter(rows), Path("out"), size_limit="64mb")
    streaming.write(tuple(rows), "out", append=True)
    streaming.write(StreamingDataset[dict[str, Any]](local="x"), "out")
    streaming.write(LocalDataset[dict[str, Any]]("x"), "out")
    streaming.write(3, "out")  # wrong
    streaming.write(rows, "out", columns=["text"])  # wrong

    merge_index("root", keep_local=False)
    merge_index(["a/index.json", ("b", "s3://b")], "root", True, 30.0)
    merge_index(index_file_urls=["a"], out=("local", "s3://x"))
    merge_index("root", keep_locl=False)  # wrong
    merge_index(3)  # wrong
    merge_index()  # wrong
    merge_index(Path("root"))
    merge_index([Path("a"), "b"], Path("root"))
    Stream(remote="s3://bucket", proportion=0.5)
    Stream(remote="s3://bucket", proportoin=0.5)  # wrong
