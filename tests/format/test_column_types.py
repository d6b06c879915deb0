"""Columns that the original library does not know: times, lists, tensors, image files, sounds and videos."""

from __future__ import annotations

import datetime as dt
import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from streaming import LocalDataset, MDSWriter, StreamingDataLoader, StreamingDataset
from streaming.core.errors import ConfigError, SampleError, StreamingError, UnsafeTypeError
from streaming.format import media
from streaming.format.encodings import get_encoding, get_mds_encoded_size, is_mds_encoding_safe, mds_decode, mds_encode
from streaming.format.media import Audio, Video

BERLIN = "Europe/Berlin"
MOMENT = dt.datetime(2024, 7, 1, 12, 30, 15, 123456, tzinfo=dt.timezone.utc)
DURATIONS = st.timedeltas(dt.timedelta(days=-100_000_000), dt.timedelta(days=100_000_000))
VALUES: dict[str, Any] = {
    "date": st.dates(),
    "time": st.times(),
    "datetime": st.datetimes(),
    "datetime:UTC": st.datetimes(timezones=st.just(dt.timezone.utc)),
    "timedelta": DURATIONS,
    "timedelta?": st.none() | DURATIONS,
    "list:str": st.lists(st.text()),
    "list:bytes": st.lists(st.binary()),
    "list:int": st.lists(st.integers(-(1 << 63), (1 << 63) - 1)),
    "list:str?": st.none() | st.lists(st.text()),
    "list:date": st.lists(st.dates()),
}


@pytest.mark.parametrize("encoding", VALUES)
def test_round_trip(encoding: str) -> None:
    @given(VALUES[encoding])
    def run(value: Any) -> None:
        data = mds_encode(encoding, value)
        assert mds_decode(encoding, data) == value
        size = get_mds_encoded_size(encoding)
        assert size is None or len(data) == size

    run()


def test_the_bytes() -> None:
    assert mds_encode("date", dt.date(1970, 1, 3)) == b"\2\0\0\0"
    assert mds_encode("time", dt.time(0, 0, 1)) == (1_000_000).to_bytes(8, "little")
    assert mds_encode("datetime", dt.datetime(1969, 12, 31, 23, 59, 59, 999_999)) == b"\xff" * 8
    assert mds_encode("timedelta", dt.timedelta(microseconds=2)) == b"\2" + bytes(7)
    assert mds_encode("list:int16", [1, 2]) == b"\1\0\2\0"
    assert mds_encode("list:str", ["a", ""]) == b"\2\0\0\0\1\0\0\0\0\0\0\0a"
    assert mds_encode("list:str", []) == bytes(4)
    assert mds_encode("tensor:bfloat16", torch.ones(2, dtype=torch.bfloat16)) == b"\4\2\x80\x3f\x80\x3f"


def test_zones() -> None:
    for zone in ("UTC", BERLIN, "+02:00", "-03:30"):
        read = mds_decode(f"datetime:{zone}", mds_encode(f"datetime:{zone}", MOMENT))
        assert read == MOMENT
        assert str(read.tzinfo).removeprefix("UTC") in (zone, "")
    east = MOMENT.astimezone(dt.timezone(dt.timedelta(hours=9)))
    assert mds_encode("datetime:UTC", east) == mds_encode(f"datetime:{BERLIN}", MOMENT)
    # The hour that a clock shows twice is two moments.
    late = [dt.datetime(2024, 10, 27, hour, 30, tzinfo=dt.timezone.utc) for hour in (0, 1)]
    read = [mds_decode(f"datetime:{BERLIN}", mds_encode(f"datetime:{BERLIN}", one)) for one in late]
    assert [one.hour for one in read] == [2, 2]
    assert [one.astimezone(dt.timezone.utc) for one in read] == late
    for wrong in ("Mars/Olympus", "../etc/passwd", "+99:00", ""):
        with pytest.raises(ConfigError, match="no time zone"):
            get_encoding(f"datetime:{wrong}")


def test_times_of_numpy_and_pandas() -> None:
    pd = pytest.importorskip("pandas")
    assert mds_decode("datetime", mds_encode("datetime", np.datetime64("2024-07-01T12:30:15.5"))).microsecond == 500_000
    assert mds_decode("date", mds_encode("date", np.datetime64("2024-07-01"))) == dt.date(2024, 7, 1)
    assert mds_decode("timedelta", mds_encode("timedelta", np.timedelta64(5, "s"))) == dt.timedelta(seconds=5)
    exact = np.datetime64("2024-07-01T12:30:15.123456000")
    assert mds_decode("datetime", mds_encode("datetime", exact)).microsecond == 123456
    assert mds_decode("datetime:UTC", mds_encode("datetime:UTC", pd.Timestamp(MOMENT))) == MOMENT
    for value in (np.datetime64("2024-07-01T00:00:00.000000001"), pd.Timestamp(1), np.datetime64("NaT")):
        with pytest.raises(SampleError):
            mds_encode("datetime", value)


@pytest.mark.parametrize(
    ("encoding", "value", "text"),
    [
        ("date", dt.datetime(2024, 1, 1), r"value\.date\(\)"),
        ("date", "2024-01-01", "expected date, got str"),
        ("time", dt.time(1, tzinfo=dt.timezone.utc), "has a zone"),
        ("datetime", MOMENT, "declare it, such as 'datetime:UTC'"),
        ("datetime:UTC", MOMENT.replace(tzinfo=None), "has no zone"),
        ("timedelta", 5, "expected timedelta"),
        ("date", None, "expected date"),
        ("list:str", "text", "expected a list"),
        ("list:str", [1], "expected str"),
        ("list:uint8", [256], "out of range"),
        ("list:uint8", [None], "got None"),
        ("list:float32", np.ones((2, 2), np.float32), "one axis"),
        ("tensor:bfloat16", torch.ones(2), "expected dtype bfloat16"),
        ("tensor:bfloat16:3", torch.ones(2, dtype=torch.bfloat16), "expected shape"),
        ("tensor:bfloat16", [1.0], "expected a tensor"),
        ("audio", "a.wav", "expected the bytes of a sound file"),
        ("video", 5, "expected the bytes of a video file"),
    ],
)
def test_what_does_not_fit(encoding: str, value: Any, text: str) -> None:
    with pytest.raises(SampleError, match=text):
        mds_encode(encoding, value)


@pytest.mark.parametrize("name", ["list", "list:", "list:unknown", "tensor", "tensor:float32", "tensor:bfloat16:0"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ConfigError):
        get_encoding(name)


def test_lists_of_what_runs_code_are_unsafe(tmp_path: Path) -> None:
    assert is_mds_encoding_safe("list:str?")
    assert not is_mds_encoding_safe("list:pkl")
    assert not is_mds_encoding_safe("list:list:pkl?")
    with MDSWriter(columns={"x": "list:pkl"}, out=str(tmp_path)) as out:
        out.write({"x": [1, {2}]})
    with pytest.raises(UnsafeTypeError):
        LocalDataset(str(tmp_path))
    assert LocalDataset(str(tmp_path), allow_unsafe_types=True)[0] == {"x": [1, {2}]}


def test_damaged_values_are_told() -> None:
    """Whatever the bytes are, decoding ends with a value or an error of the library's or of the decoder."""
    rng = random.Random(0)
    names = [*VALUES, "list:float32", "tensor:bfloat16", "tensor:bfloat16:2", f"datetime:{BERLIN}?"]
    for _ in range(300):
        data = rng.randbytes(rng.choice((0, 1, 3, 4, 5, 8, 9, 16)))
        for name in names:
            try:
                mds_decode(name, data)
            except (StreamingError, UnicodeDecodeError, ValueError):
                pass


def samples(count: int) -> list[dict[str, Any]]:
    return [
        {
            "when": MOMENT + dt.timedelta(hours=i),
            "day": None if i % 3 else dt.date(2024, 1, 1 + i),
            "tags": ["a"] * i,
            "ragged": np.arange(i, dtype=np.float32),
            "half": torch.full((2, 3), i, dtype=torch.bfloat16),
            "one": torch.tensor(i, dtype=torch.bfloat16),
            "fixed": torch.full((4,), i, dtype=torch.float8_e5m2),
        }
        for i in range(count)
    ]


def test_a_dataset_of_all(tmp_path: Path) -> None:
    columns = {
        "when": "datetime:UTC",
        "day": "date?",
        "tags": "list:str",
        "ragged": "list:float32",
        "half": "tensor:bfloat16",
        "one": "tensor:bfloat16",
        "fixed": "tensor:float8_e5m2:4",
    }
    rows = samples(9)
    with MDSWriter(columns=columns, out=str(tmp_path)) as out:
        for row in rows:
            out.write(row)
    for read, row in zip(LocalDataset(str(tmp_path))[:], rows, strict=True):
        assert {name: read[name] for name in ("when", "day", "tags")} == {
            name: row[name] for name in ("when", "day", "tags")
        }
        np.testing.assert_array_equal(read["ragged"], row["ragged"])
        assert read["ragged"].dtype == np.float32
        for name in ("half", "one", "fixed"):
            assert read[name].dtype == row[name].dtype
            assert torch.equal(read[name].float(), row[name].float())
    dataset = StreamingDataset(local=str(tmp_path), batch_size=3, columns=["half", "fixed"])
    batches = list(StreamingDataLoader(dataset, batch_size=3))
    assert batches[0]["half"].shape == (3, 2, 3)
    assert batches[2]["fixed"].float()[:, 0].tolist() == [6, 7, 8]


def test_arrays_of_ml_dtypes() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    array = np.arange(6).astype(ml_dtypes.bfloat16).reshape(2, 3)
    assert mds_decode("tensor:bfloat16", mds_encode("tensor:bfloat16", array)).float().tolist() == array.tolist()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_an_image_keeps_its_file(tmp_path: Path, kind: str) -> None:
    Image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 255, (9, 7, 3)).astype(np.uint8)
    path = tmp_path / "a.img"
    Image.fromarray(pixels).save(path, kind)
    with Image.open(path) as image:
        assert mds_encode("image", image) == path.read_bytes()
        image.load()
        assert mds_encode("image", image) == path.read_bytes()
    with Image.open(path) as image:
        changed = image.convert("RGB").rotate(90)
    read = mds_decode("image", mds_encode("image", changed))
    np.testing.assert_array_equal(np.asarray(read), np.asarray(changed))
    assert mds_encode("image", path.read_bytes()) == path.read_bytes()


def wav(seconds: float = 1.0, rate: int = 8000) -> bytes:
    soundfile = pytest.importorskip("soundfile")
    out = io.BytesIO()
    soundfile.write(
        out, np.linspace(-0.5, 0.5, int(seconds * rate), dtype=np.float32), rate, format="WAV", subtype="FLOAT"
    )
    return out.getvalue()


@pytest.mark.parametrize("decoder", ["soundfile", "av"])
def test_sounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoder: str) -> None:
    data = wav()
    module = pytest.importorskip(decoder)
    monkeypatch.setattr(media, "_decoder", lambda *_names: (decoder, module))
    with MDSWriter(columns={"a": "audio", "b": "audio?"}, out=str(tmp_path)) as out:
        out.write({"a": data, "b": None})
    sound = LocalDataset(str(tmp_path))[0]["a"]
    assert isinstance(sound, Audio)
    assert sound == data
    values, rate = sound.samples()
    assert rate == sound.rate == 8000
    np.testing.assert_allclose(values[:, 0], np.linspace(-0.5, 0.5, 8000), atol=1e-4)
    part, _ = sound.samples(0.25, 0.5)
    np.testing.assert_array_equal(part, values[2000:4000])
    assert sound.samples(0.9)[0].shape == (800, 1)
    assert sound.samples(5.0)[0].shape == (0, 1)
    with pytest.raises(ValueError, match=f"no sound file that {decoder} can decode"):
        Audio(b"no sound").samples()


def mp4(num_frames: int = 20, rate: int = 10) -> bytes:
    av = pytest.importorskip("av")
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        for i in range(num_frames):
            frame = av.VideoFrame.from_ndarray(np.full((16, 32, 3), i * 10, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return out.getvalue()


def test_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    av = pytest.importorskip("av")
    data = mp4()
    monkeypatch.setattr(media, "_decoder", lambda *_names: ("av", av))
    with MDSWriter(columns={"v": "video"}, out=str(tmp_path)) as out:
        out.write({"v": data})
    video = LocalDataset(str(tmp_path))[0]["v"]
    assert isinstance(video, Video)
    assert video == data
    pixels, times = video.frames()
    assert pixels.shape == (20, 16, 32, 3)
    np.testing.assert_allclose(times, np.arange(20) / 10)
    np.testing.assert_allclose(pixels[:, 8, 8, 0], np.arange(20) * 10, atol=6)
    part, times = video.frames(0.5, 0.8)
    np.testing.assert_allclose(times, [0.5, 0.6, 0.7])
    np.testing.assert_array_equal(part, pixels[5:8])
    assert video.frames(9.0)[0].shape == (0, 16, 32, 3)
    with pytest.raises(ValueError, match="no video file"):
        Video(b"nothing").frames()


def test_no_decoder_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(media, "import_module", nothing)
    with pytest.raises(ImportError, match=r"torchcodec, soundfile, av.*streaming-dataset\[media\]"):
        Audio(b"").samples()


@pytest.mark.parametrize("span", [(-1, 1), (1, 0.5), (float("nan"), 1), ("a", None)])
def test_ranges_of_time_that_are_none(span: Any) -> None:
    for decode in (Audio(b"RIFF").samples, Video(b"").frames):
        with pytest.raises(ConfigError, match="seconds from 0 on"):
            decode(*span)
