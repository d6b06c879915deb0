"""The original's paths lead to this library's objects: what is registered or patched in one is so in the other."""

from __future__ import annotations

import importlib.util
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import streaming
from streaming import LocalDataset, MDSWriter, Stream, StreamingDataLoader, StreamingDataset
from streaming.base.batching import batching_methods, generate_work
from streaming.base.format.mds.encodings import Encoding, _encodings
from streaming.base.partition import algos as partition_algos
from streaming.base.partition import get_partitions
from streaming.base.shuffle import algos as shuffle_algos
from streaming.base.shuffle import get_shuffle
from streaming.base.shuffle.py1s import divide_spans
from streaming.base.spanner import Spanner
from streaming.base.storage import CloudDownloader
from streaming.base.storage.download import DOWNLOADER_MAPPINGS
from streaming.base.storage.upload import UPLOADERS, CloudUploader
from streaming.base.stream import streams_registry
from streaming.base.world import World

from sample_data import sample, write_dataset


def ids(dataset: StreamingDataset) -> list[int]:
    return [each["id"] for each in dataset]


def test_importing_base_is_light() -> None:
    code = (
        "import sys, streaming; streaming.base.format.mds.encodings; "
        "print([m for m in ('torch', 'numpy', 'obstore') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_the_objects_are_the_same() -> None:
    from streaming.base import dataset, format, stream, util, world
    from streaming.core.errors import StreamingError
    from streaming.format.encodings import encodings

    assert dataset.StreamingDataset is StreamingDataset is streaming.base.StreamingDataset
    assert stream.Stream is Stream
    assert format.MDSWriter is MDSWriter
    assert util.merge_index is streaming.merge_index
    assert world.World is World
    assert _encodings is encodings
    assert pickle.loads(pickle.dumps(format.FileInfo)) is format.FileInfo
    assert issubclass(StreamingError, Exception)


class Backwards(Encoding):
    """Text, backwards."""

    def encode(self, obj: Any) -> bytes:
        self._validate(obj, str)
        return obj[::-1].encode()

    def decode(self, data: bytes) -> Any:
        return data.decode()[::-1]


def test_an_encoding_registered_the_old_way(tmp_path: Path) -> None:
    _encodings["backwards"] = Backwards
    try:
        with MDSWriter(columns={"a": "backwards"}, out=str(tmp_path)) as out:
            out.write({"a": "hello"})
        assert b"olleh" in next(tmp_path.glob("*.mds")).read_bytes()
        assert LocalDataset(str(tmp_path))[0] == {"a": "hello"}
        assert streaming.base.format.mds.encodings.is_mds_encoding("backwards")
    finally:
        del _encodings["backwards"]


def test_a_shuffle_registered_the_old_way(tmp_path: Path) -> None:
    def reverse(shard_sizes: Any, num_canonical_nodes: int, seed: int, epoch: int, block_size: int = 1) -> Any:
        return np.arange(int(np.sum(shard_sizes)))[::-1].copy()

    write_dataset(tmp_path / "d", 50)
    shuffle_algos["reverse"] = reverse
    try:
        dataset = StreamingDataset(local=str(tmp_path / "d"), batch_size=5, shuffle=True, shuffle_algo="reverse")
        assert ids(dataset) == list(range(50))[::-1]
        assert get_shuffle("reverse", np.array([3]), 1, 0, 0).tolist() == [2, 1, 0]
    finally:
        del shuffle_algos["reverse"]


def test_a_partition_registered_the_old_way(tmp_path: Path) -> None:
    def two_by_two(n: int, c: int, p: int, r: int, w: int, b: int, drop: int = 0, initial: Any = None) -> Any:
        return np.arange(drop, n).reshape(-1, p, r, w, b).transpose(1, 2, 3, 0, 4)

    write_dataset(tmp_path / "d", 40)
    partition_algos["plain"] = two_by_two
    try:
        arguments: dict[str, Any] = {"shuffle_algo": "py1e", "partition_algo": "plain", "batch_size": 4}
        dataset = StreamingDataset(local=str(tmp_path / "d"), **arguments)
        assert ids(dataset) == list(range(40))
        loader = StreamingDataLoader(
            StreamingDataset(local=str(tmp_path / "d"), **arguments), batch_size=4, num_workers=2
        )
        assert [i for batch in loader for i in batch["id"].tolist()] == list(range(40))
        assert get_partitions("plain", 8, 1, 2, 1, 1, 4).tolist() == [[[[[0, 1, 2, 3]]]], [[[[4, 5, 6, 7]]]]]
    finally:
        del partition_algos["plain"]
    assert set(partition_algos) == {"orig", "relaxed"}
    with pytest.raises(KeyError, match="plain"):
        get_partitions("plain", 8, 1, 2, 1, 1, 4)


class LabelledStream(Stream):
    """A stream with an argument of its own."""

    def __init__(self, *, label: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.label = label


def test_a_stream_class_by_name(tmp_path: Path) -> None:
    write_dataset(tmp_path / "d", 20)
    streams_registry.register("labelled", func=LabelledStream)
    try:
        config = {"label": "mine"}
        dataset = StreamingDataset(
            local=str(tmp_path / "d"), stream_name="labelled", stream_config=config, batch_size=1
        )
        (stream,) = dataset.streams
        assert isinstance(stream, LabelledStream)
        assert stream.label == "mine"
        assert config == {"label": "mine"}
        assert "labelled" in streams_registry
        assert streams_registry.get("stream") is Stream
    finally:
        del streams_registry.entries["labelled"]
    with pytest.raises(ValueError, match="labelled"):
        StreamingDataset(local=str(tmp_path / "d"), stream_name="labelled")


def test_a_stream_is_told_of_methods_that_are_not_called() -> None:
    with pytest.warns(UserWarning, match="prepare_shard"):

        class Decrypting(Stream):  # pyright: ignore[reportUnusedClass]
            def prepare_shard(self, shard: Any) -> int:
                return 0


def test_a_dataset_is_told_of_methods_that_are_not_called() -> None:
    with pytest.warns(UserWarning, match="_get_work"):

        class Reordering(StreamingDataset):  # pyright: ignore[reportUnusedClass]
            def _get_work(self, epoch: int, sample_in_epoch: int) -> Any:
                return []


class VaultDownloader(CloudDownloader):
    """Fetches from a directory that the test names, by URLs of a scheme of its own."""

    root = ""

    @staticmethod
    def _client_identifier() -> str:
        return "vault"

    def _download_file_impl(self, remote: str, local: str, timeout: float) -> None:
        data = (Path(self.root) / remote.removeprefix("vault://")).read_bytes()
        Path(local).write_bytes(data)


class VaultUploader(CloudUploader):
    """Sends there."""

    def upload_file(self, filename: str) -> None:
        target = Path(VaultDownloader.root) / str(self.remote).removeprefix("vault://") / filename
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((Path(self.local) / filename).read_bytes())


def test_a_store_registered_the_old_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from streaming.base.storage import upload
    from streaming.storage.registry import stores

    VaultDownloader.root = str(tmp_path / "vault")
    DOWNLOADER_MAPPINGS["vault"] = VaultDownloader
    monkeypatch.setattr(upload, "VaultUploader", VaultUploader, raising=False)
    UPLOADERS["vault"] = "VaultUploader"
    try:
        write_dataset("vault://a/b", 250)
        assert (tmp_path / "vault" / "a" / "b" / "index.json").exists()
        dataset = StreamingDataset(remote="vault://a/b", local=str(tmp_path / "cache"), batch_size=5)
        assert ids(dataset) == list(range(250))
        assert dataset[249] == sample(249)
        with pytest.raises(RuntimeError, match="No index.json at vault://a/none"):
            StreamingDataset(remote="vault://a/none", local=str(tmp_path / "none"))
        CloudDownloader.direct_download("vault://a/b/index.json", str(tmp_path / "copy.json"))
        assert (tmp_path / "copy.json").exists()
    finally:
        del DOWNLOADER_MAPPINGS["vault"]
        del UPLOADERS["vault"]
        del stores["vault"]


def test_writers_say_what_kind_they_are(tmp_path: Path) -> None:
    from streaming.base.format.base.writer import JointWriter, SplitWriter, Writer

    assert issubclass(MDSWriter, JointWriter)
    assert not issubclass(MDSWriter, SplitWriter)
    assert issubclass(streaming.CSVWriter, SplitWriter)
    assert issubclass(MDSWriter, Writer)
    with pytest.raises(ValueError, match="docs/migration.md"):
        type("Mine", (JointWriter,), {"__module__": "mine"})


def test_work_of_an_epoch_is_what_the_workers_get(tmp_path: Path) -> None:
    write_dataset(tmp_path / "d", 64)
    for algo in (None, "py1e"):
        dataset = StreamingDataset(local=str(tmp_path / "d"), batch_size=4, shuffle=True, shuffle_algo=algo)
        work = generate_work("random", dataset, World(2, 2, 2, 0), 0, 0)
        assert work.shape[:3] == (2, 2, 2)
        assert sorted(work.ravel().tolist()) == list(range(64))
        alone = batching_methods["random"](dataset, World(1, 1, 1, 0), 0, 8)
        assert alone.ravel().tolist() == ids(dataset)[8:]
        units, places = dataset.resample_streams(0)
        assert units.sum() == 64
        assert places.tolist() == list(range(64))
    with pytest.raises(KeyError, match="nothing"):
        generate_work("nothing", dataset, World(1, 1, 1, 0), 0, 0)
    with pytest.raises(TypeError):
        batching_methods["mine"] = generate_work  # type: ignore[index]


def test_divide_spans_and_spanner() -> None:
    spans, parts = divide_spans([(0, 5), (5, 9), (9, 20)], 20, 3)
    assert spans == [(0, 5), (5, 6), (6, 9), (9, 13), (13, 20)]
    assert parts == [(0, 2), (2, 4), (4, 5)]
    spanner = Spanner(np.array([3, 0, 5]))
    assert [spanner[i] for i in range(8)] == [(0, 0), (0, 1), (0, 2), (2, 0), (2, 1), (2, 2), (2, 3), (2, 4)]
    for index in (-1, 8):
        with pytest.raises(IndexError, match="out of range"):
            spanner[index]


def test_details_of_a_dataset(tmp_path: Path) -> None:
    write_dataset(tmp_path / "d", 300, compression="zstd")
    dataset = StreamingDataset(
        remote=str(tmp_path / "d"), local=str(tmp_path / "cache"), batch_size=4, shuffle=True, cache_limit="1mb"
    )
    assert len(dataset.shards) == dataset.num_shards > 2
    assert sum(len(shard) for shard in dataset.shards) == dataset.num_samples == 300
    assert dataset.max_shard_size_across_all_streams == max(shard.get_max_size() for shard in dataset.shards)
    assert dataset.epoch_seed_change
    assert dataset.initial_physical_nodes is None
    shard, index = dataset.spanner[299]
    assert dataset[299] == sample(299)
    assert dataset.shards[shard][index] == sample(299)
    with pytest.raises(FileNotFoundError):
        dataset.shards[0][0]
    dataset.load_state_dict(dataset.state_dict(8, False))
    assert dataset.initial_physical_nodes == 1
    dataset.close()


def test_details_of_a_stream(tmp_path: Path) -> None:
    write_dataset(tmp_path / "d", 300)
    stream = Stream(remote=str(tmp_path / "d"), local=str(tmp_path / "cache"))
    world = World(1, 1, 1, 0)
    shards = stream.get_shards(world, False)
    assert stream.get_index_size() == (tmp_path / "d" / "index.json").stat().st_size
    usage = np.zeros(len(shards), np.int64)
    added = stream.prepare_shard(shards[1])
    assert added == shards[1].get_raw_size()
    assert stream.prepare_shard(shards[1]) == 0
    stream.set_up_local(shards, usage)
    assert usage.tolist() == [0, added, *[0] * (len(shards) - 2)]
    assert shards[1][0] == sample(len(shards[0]))
    assert shards[1].evict() == added
    assert not stream.safe_keep_zip
    assert Stream(local=str(tmp_path)).safe_keep_zip


@pytest.mark.parametrize(
    ("weights", "sizes", "choose", "expected"),
    [
        ([{"proportion": 1}, {"proportion": 3}], [25, 40], None, [16, 49]),
        ([{"proportion": 1}] * 3, [10, 20, 30], 100, [33, 33, 34]),
        ([{}] * 3, [10, 20, 31], 50, [8, 16, 26]),
        ([{"repeat": 2.5}, {"choose": 7}, {}], [10, 20, 30], None, [25, 7, 30]),
    ],
)
def test_weights(weights: list[dict[str, Any]], sizes: list[int], choose: int | None, expected: list[int]) -> None:
    streams = [Stream(local="x", **each) for each in weights]
    proportional, unspecified = Stream.validate_weights(streams)
    assert proportional == ("proportion" in weights[0])
    assert unspecified == (not weights[0] and not weights[-1])
    assert Stream.apply_weights(streams, np.array(sizes), choose, 9176) == sum(expected)
    assert [stream.choose for stream in streams] == expected
    with pytest.raises(ValueError, match="proportion"):
        Stream.validate_weights([Stream(local="x", proportion=1), Stream(local="x")])


def test_type_checkers_are_told_of_every_module_of_the_table() -> None:
    spec = importlib.util.spec_from_file_location(
        "stubs", Path(__file__).parents[1] / "goldens" / "surface" / "stubs.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    expected = module.stubs()
    assert {path: path.read_text() for path in Path(streaming.base.__file__).parent.rglob("*.pyi")} == expected
