"""Helpers, registries, compression and ranks by the original's names."""

from __future__ import annotations

import functools
import os
import threading
import time
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streaming.base import distributed
from streaming.base.compression import Brotli, Bzip2, Gzip, Snappy, Zstandard, compress, is_compression
from streaming.base.format.json.encodings import is_json_encoded, is_json_encoding
from streaming.base.format.xsv.encodings import is_xsv_encoding, xsv_decode, xsv_encode
from streaming.base.registry_utils import (
    TypedRegistry,
    construct_from_registry,
    create_registry,
    import_file,
    save_registry,
)
from streaming.base.util import (
    bytes_to_int,
    clean_stale_shared_memory,
    get_import_exception_message,
    get_list_arg,
    number_abbrev_to_int,
    retry,
    wait_for_file_to_exist,
)


def test_retry_counts_calls_and_cleans_up_after_each_failure() -> None:
    events: list[str] = []

    @retry(OSError, clean_up_fn=lambda: events.append("clean"), num_attempts=3, initial_backoff=0, max_jitter=0)
    def fails_twice(x: int) -> int:
        """Say something."""
        events.append("call")
        if events.count("call") < 3:
            raise OSError("no")
        return x + 1

    assert fails_twice(1) == 2
    assert events == ["call", "clean", "call", "clean", "call"]
    assert fails_twice.__doc__ == "Say something."


def test_retry_gives_up() -> None:
    events: list[str] = []

    def fail() -> None:
        events.append("call")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        retry([KeyError, ValueError], lambda: events.append("clean"), 2, 0, 0)(fail)()
    assert events == ["call", "clean", "call", "clean"]
    with pytest.raises(ValueError, match="no"):  # of another class: at once
        retry(KeyError, num_attempts=5)(fail)()
    assert events.count("call") == 3
    with pytest.raises(ValueError, match="num_attempts"):
        retry(num_attempts=0)
    assert retry(lambda: 3)() == 3


def test_waiting_for_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    threading.Timer(0.05, path.touch).start()
    wait_for_file_to_exist(str(path), 0.01, 30, "It must come.")
    with pytest.raises(RuntimeError, match="It must come.*did not appear"):
        wait_for_file_to_exist(str(tmp_path / "none"), 0.01, 0.05, "It must come.")


def test_small_helpers() -> None:
    assert get_list_arg("") == []
    assert get_list_arg("a,b") == ["a", "b"]
    assert bytes_to_int("1.5mb") == 1572864
    assert number_abbrev_to_int("1.5b") == 1_500_000_000
    for parse in (bytes_to_int, number_abbrev_to_int):
        with pytest.raises(ValueError, match="x"):
            parse("x")
    assert "[databricks]" in get_import_exception_message("databricks", extra_deps="")
    memory = SharedMemory(f"test-{os.getpid()}-in-use", create=True, size=1)
    try:
        clean_stale_shared_memory()
        SharedMemory(memory.name).close()
    finally:
        memory.close()
        memory.unlink()


@pytest.mark.parametrize("coder", [Brotli(), Brotli(3), Bzip2(), Gzip(1), Snappy(), Zstandard(), Zstandard(level=9)])
def test_compression_classes(coder: Any) -> None:
    data = b"abc" * 1000
    assert coder.decompress(coder.compress(data)) == data
    spellings = dict(type(coder).each())
    assert all(is_compression(name) for name in spellings)
    name = coder.extension + (f":{coder.level}" if hasattr(coder, "level") else "")
    assert spellings[name].compress(data) == compress(name, data)


def test_compression_levels() -> None:
    with pytest.raises(ValueError, match="0 to 11"):
        Brotli(99)
    # Callers join them to other lists.
    assert all(isinstance(kind.levels, list) for kind in (Brotli, Bzip2, Gzip, Zstandard))


def test_text_encodings() -> None:
    assert is_json_encoding("str")
    assert not is_json_encoding("bytes")
    assert is_json_encoded("int", 3)
    assert is_xsv_encoding("float")
    assert xsv_encode("int", 3) == "3"
    assert xsv_decode("float", "2.5") == 2.5
    for call in (lambda: is_json_encoded("str", 3), lambda: xsv_encode("int", "a")):
        with pytest.raises(AttributeError):
            call()
    for call in (lambda: is_json_encoded("zz", 3), lambda: xsv_encode("zz", "a"), lambda: xsv_decode("zz", "a")):
        with pytest.raises(KeyError, match="zz"):
            call()


class Animal:
    """Something to register."""

    def __init__(self, name: str = "") -> None:
        self.name = name


class Cat(Animal):
    """Another."""


def test_registry(tmp_path: Path) -> None:
    with save_registry():
        registry = create_registry("tests", "animals", generic_type=type[Animal], description="Animals.")
        assert isinstance(registry, TypedRegistry)
        assert registry.namespace == ("tests", "animals")
        assert registry.register("animal", func=Animal) is Animal
        assert registry.register_class("cat")(Cat) is Cat
        assert registry.get_all() == {"animal": Animal, "cat": Cat}
        assert "cat" in registry
        assert registry.find("cat")["module"] == Cat.__module__
        assert registry.find("cat")["docstring"] == "Another."
        assert registry.get_entry_points() == {}
        with pytest.raises(ValueError, match="animal, cat"):
            registry.get("dog")
        with pytest.raises(ValueError, match="already"):
            create_registry("tests", "animals", generic_type=type[Animal])

        made: list[Any] = []
        cat = construct_from_registry("cat", registry, True, Animal, made.append, {"name": "Tom"})
        assert (type(cat), cat.name, made) == (Cat, "Tom", [cat])
        registry.register("double", func=lambda x: 2 * x)
        bound = construct_from_registry("double", registry, kwargs={"x": 2})
        assert isinstance(bound, functools.partial)
        assert bound() == construct_from_registry("double", registry, False, kwargs={"x": 2}) == 4
        registry.register("thing", func=Animal())
        for name, check in (("thing", None), ("animal", Cat), ("double", Animal)):
            with pytest.raises(ValueError, match=name):
                construct_from_registry(name, registry, True, check)
        with save_registry():
            registry.register("dog", func=Animal)
        assert "dog" not in registry
    create_registry("tests", "animals", generic_type=int)  # the name is free again


def test_import_file(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text("x = 3")
    bad.write_text("raise ValueError('inside')")
    assert import_file(good).x == 3
    with pytest.raises(RuntimeError, match="inside"):
        import_file(str(bad))
    with pytest.raises(FileNotFoundError, match="none.py"):
        import_file(tmp_path / "none.py")


def test_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert distributed.all_gather_object("a") == ["a"]
    assert (distributed.get_rank(), distributed.get_world_size(), distributed.get_local_rank()) == (0, 1, 0)
    for name, value in {"RANK": 5, "WORLD_SIZE": 8, "LOCAL_WORLD_SIZE": 4, "LOCAL_RANK": 1}.items():
        monkeypatch.setenv(name, str(value))
    assert (distributed.get_rank(), distributed.get_world_size()) == (5, 8)
    assert (distributed.get_local_rank(), distributed.get_local_world_size()) == (1, 4)
    monkeypatch.delenv("LOCAL_RANK")
    assert distributed.get_local_rank() == 1
    with pytest.raises(RuntimeError, match="init_process_group"):
        distributed.all_gather_object("a")
    distributed.barrier()
    distributed.broadcast(np.zeros(1), 0)
    assert distributed.maybe_init_dist() is False
    import torch.distributed

    assert not torch.distributed.is_initialized()


def test_collectives_use_a_group_that_is_there(tmp_path: Path) -> None:
    import torch
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    try:
        assert distributed.all_gather_object({"a": 1}) == [{"a": 1}]
        gathered = [torch.zeros(2)]
        distributed.all_gather(gathered, torch.ones(2))
        assert gathered[0].tolist() == [1, 1]
        distributed.barrier()
        distributed.broadcast(gathered[0], 0)
    finally:
        dist.destroy_process_group()


def test_time_is_only_spent_between_attempts() -> None:
    begin = time.monotonic()
    retry(num_attempts=2, initial_backoff=60)(lambda: None)()
    assert time.monotonic() >= begin
