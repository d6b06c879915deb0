"""Encodings of MDS columns: round trips, exact bytes, and errors."""

from __future__ import annotations

import json
import math
import pickle
import subprocess
import sys
from collections import OrderedDict
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from streaming.core.errors import (
    ColumnSizeError,
    ColumnTypeError,
    ColumnValueError,
    ConfigError,
    MissingColumnError,
    StreamingError,
    UnknownNameError,
)
from streaming.format.encodings import (
    Encoding,
    encodings,
    get_mds_encoded_size,
    get_mds_encodings,
    is_mds_encoding,
    is_mds_encoding_safe,
    mds_decode,
    mds_encode,
)
from streaming.format.formats import make_shard_encoder

from budget import share

INTS = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
FLOATS = ("float16", "float32", "float64")
NAMES = {
    "bool",
    *INTS,
    *FLOATS,
    *("bytes", "str", "int", "ndarray", "str_int", "str_float", "str_decimal", "pil", "jpeg"),
    *("png", "jpeg_array", "jpegarray", "list[pil]", "list[jpeg]", "list[png]", "pkl", "json"),
    *("image", "audio", "video", "date", "time", "datetime", "timedelta", "list", "tensor"),
}
NEED_CONFIG = {"list", "tensor"}
INT16 = np.array([[0, 1, 2], [3, 4, 5]], "int16")

arrays = st.sampled_from([*INTS, *FLOATS]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(max_dims=3, max_side=5))
)
jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
VALUES = {
    "bytes": st.binary(),
    "str": st.text(),
    "int": st.integers(-(1 << 63), (1 << 63) - 1),
    "str_int": st.integers(),
    "str_float": st.floats(allow_nan=False),
    "str_decimal": st.decimals(allow_nan=False),
    "json": jsons,
    "pkl": jsons | st.binary() | st.tuples(st.integers()),
    **{name: st.integers(int(np.iinfo(name).min), int(np.iinfo(name).max)).map(np.dtype(name).type) for name in INTS},
    **{
        f"float{bits}": st.floats(width=bits, allow_nan=False).map(np.dtype(f"float{bits}").type)
        for bits in (16, 32, 64)
    },
}


def test_names() -> None:
    assert get_mds_encodings() == NAMES
    assert all(map(is_mds_encoding, NAMES - NEED_CONFIG))
    assert not any(map(is_mds_encoding, NEED_CONFIG))


@pytest.mark.parametrize("name", VALUES)
def test_round_trip(name: str) -> None:
    size = get_mds_encoded_size(name)

    @given(VALUES[name])
    @share(0.4)
    def check(value: Any) -> None:
        data = mds_encode(name, value)
        assert size is None or len(data) == size
        back = mds_decode(name, data)
        assert back == value
        assert type(back) is type(value)

    check()


@given(arrays, st.sampled_from("<>"), st.integers(0, 2))
@share(0.6)
def test_arrays_round_trip(array: np.ndarray, order: str, stated: int) -> None:
    name = ":".join(["ndarray", str(array.dtype), ",".join(map(str, array.shape))][: 1 + stated])
    stored = array.astype(array.dtype.newbyteorder(order))
    back = mds_decode(name, mds_encode(name, stored))
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()
    assert not back.flags.writeable


@pytest.mark.parametrize("name", INTS)
def test_integers_out_of_range(name: str) -> None:
    info = np.iinfo(name)
    for value in (int(info.max) + 1, int(info.min) - 1, 2.0**70):
        with pytest.raises(OverflowError, match="out of range"):
            mds_encode(name, value)
    with pytest.raises(ColumnValueError):
        mds_encode(name, math.nan)


def test_no_silent_wrap() -> None:
    with pytest.raises(ColumnValueError, match="300"):
        mds_encode("uint8", np.int64(300))


@pytest.mark.parametrize(
    "value", [3.0, "3", np.float32(3), np.array([3]), np.ma.array([3]), np.int64(3), Decimal(3), 3]
)
def test_scalars_are_converted(value: Any) -> None:
    assert mds_encode("uint8", value) == b"\3"
    assert mds_encode("uint8", True) == b"\1"


@pytest.mark.parametrize("value", [3.7, -0.5, np.float32(3.7), np.array([3.5]), Decimal("3.1"), 1e-9])
def test_fractions_are_not_cut_off(value: Any) -> None:
    for name in INTS:
        with pytest.raises(ColumnValueError, match="is no integer|out of range"):
            mds_encode(name, value)


@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
def test_what_a_float_would_change(name: str) -> None:
    bits = {"float16": 11, "float32": 24, "float64": 53}[name]
    for value in (1 << bits, -(1 << bits), 3 << bits, np.int64(1 << bits)):
        assert mds_decode(name, mds_encode(name, value)) == value
    for value in ((1 << bits) + 1, np.int64(-(1 << bits) - 1), 1 << 2000, np.uint64((1 << 64) - 1)):
        with pytest.raises(ColumnValueError, match="str_int|too large"):
            mds_encode(name, value)
    # Fractions are rounded to the nearest; infinities are what they are.
    assert mds_decode(name, mds_encode(name, 0.1)) == np.dtype(name).type(0.1)
    for value in (math.inf, -np.float64(math.inf), "inf", np.array([math.inf])):
        assert np.isinf(mds_decode(name, mds_encode(name, value)))
    assert np.isnan(mds_decode(name, mds_encode(name, math.nan)))


def test_no_float_becomes_infinite() -> None:
    for name, value in [
        ("float16", 1e6),
        ("float16", np.float32(1e6)),
        ("float32", np.float64(1e300)),
        ("float32", "1e99"),
    ]:
        with pytest.raises(OverflowError, match="too large"):
            mds_encode(name, value)


@pytest.mark.parametrize(
    "name", ["float32", "float64", "int16", "ndarray", "ndarray:float64", "ndarray:float64:3", "json"]
)
def test_masked_elements_are_refused(name: str) -> None:
    masked: Any = np.ma.array([1.0, 2.0, 3.0], mask=[False, True, False])
    for value in (np.ma.masked, masked[1:2]) if "nd" not in name else (masked,):
        with pytest.raises(ColumnValueError, match="masked"):
            mds_encode(name, value)
    plain: Any = np.ma.array([1.0, 2.0, 3.0])
    if "nd" in name:
        assert mds_encode(name, plain) == mds_encode(name, plain.filled())


@pytest.mark.parametrize("name", ["float32", "float64", "int32", "int"])
@pytest.mark.parametrize("value", [1 + 2j, np.complex64(1), np.complex128(3 + 1j)])
def test_complex_numbers_are_refused(name: str, value: Any) -> None:
    with pytest.raises(TypeError):
        mds_encode(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("str", 1),
        ("str", None),
        ("bytes", "text"),
        ("bytes", bytearray(b"x")),
        ("int", 1.5),
        ("int", "1"),
        ("str_int", 1.5),
        ("str_float", 1),
        ("str_decimal", 1.5),
        ("uint8", None),
        ("float32", [1, 2]),
        ("ndarray", [1, 2]),
        ("json", {1, 2}),
        ("pkl", lambda: None),
        ("pil", 1),
        ("png", "file.png"),
        ("list[pil]", ()),
        ("jpeg_array", "text"),
        ("jpeg_array", [1]),
    ],
)
def test_wrong_types(name: str, value: Any) -> None:
    with pytest.raises(ColumnTypeError) as caught:
        mds_encode(name, value)
    assert isinstance(caught.value, AttributeError)
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("int", 1 << 63, "64 bits"),
        ("str", "\ud800", "Unicode"),
        ("uint8", "x", "invalid literal"),
        ("ndarray", np.zeros(2, complex), "unsupported dtype complex128"),
        ("ndarray", np.zeros(2, complex), "unsupported dtype"),
        ("ndarray", np.array(["a"]), "unsupported dtype"),
        ("ndarray", np.float32(1), "0-d"),
        ("ndarray", np.zeros((2, 0)), "without elements"),
        ("ndarray:int8", np.zeros(2, "int16"), "expected dtype int8"),
        ("ndarray:int8:3", np.zeros(2, "int8"), r"expected shape \(3,\)"),
        ("jpeg_array", [], "empty"),
    ],
)
def test_wrong_values(name: str, value: Any, reason: str) -> None:
    with pytest.raises(ColumnValueError, match=reason):
        mds_encode(name, value)


@pytest.mark.parametrize(
    ("name", "hexed"),
    [
        ("ndarray", "11080203000001000200030004000500"),
        ("ndarray:int16", "080203000001000200030004000500"),
        ("ndarray:int16:2,3", "000001000200030004000500"),
    ],
)
def test_array_layout(name: str, hexed: str) -> None:
    assert mds_encode(name, INT16).hex() == hexed
    assert mds_encode(name, INT16.astype(">i2")).hex() == hexed
    assert (mds_decode(name, bytes.fromhex(hexed)) == INT16).all()


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="has at most 32 axes")
def test_arrays_of_many_axes() -> None:
    most = np.zeros((1,) * 63, "int8")
    assert mds_decode("ndarray", mds_encode("ndarray", most)).shape == most.shape
    with pytest.raises(ColumnValueError, match="64 axes"):
        mds_encode("ndarray", np.zeros((1,) * 64, "int8"))


def test_array_layout_of_long_axes() -> None:
    data = mds_encode("ndarray", np.zeros((300, 1), "uint8"))
    assert data.startswith(bytes.fromhex("08092c010100"))


def test_other_layouts() -> None:
    image = Image.new("L", (3, 2), 5)
    assert mds_encode("pil", image).hex() == "0300000002000000010000004c" + "05" * 6
    assert mds_encode("list[png]", []) == bytes(8)
    assert mds_decode("list[png]", bytes(8)) == []
    packed = mds_encode("jpeg_array", [b"ab", b"cde"])
    assert packed.hex() == "0200000002000000030000006162636465"
    assert mds_encode("str_decimal", Decimal("1.50")) == b"1.50"


def test_a_palette_is_lost_with_a_word() -> None:
    image = Image.frombytes("P", (2, 1), b"\0\1")
    mds_encode("pil", image)
    image.putpalette([1, 2, 3, 4, 5, 6])
    with pytest.warns(UserWarning, match="not its palette"):
        assert mds_decode("pil", mds_encode("pil", image)).tobytes() == b"\0\1"
    assert mds_decode("png", mds_encode("png", image)).convert("RGB").tobytes() == bytes(range(1, 7))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I", "F", "CMYK"])
def test_pil_modes(mode: str) -> None:
    image = Image.new(mode, (9, 3), 1)
    back = mds_decode("pil", mds_encode("pil", image))
    assert (back.mode, back.size, back.tobytes()) == (mode, image.size, image.tobytes())


def test_image_files(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 8), (10, 200, 30))
    assert mds_decode("png", mds_encode("png", image)).tobytes() == image.tobytes()
    assert mds_decode("jpeg", mds_encode("jpeg", image)).size == (8, 8)
    image.save(tmp_path / "image.jpg", quality=31)
    with Image.open(tmp_path / "image.jpg") as opened:
        stored = mds_encode("jpeg", opened)
        assert mds_encode("list[jpeg]", [opened])[12:] == stored
    assert stored == (tmp_path / "image.jpg").read_bytes()
    assert [part.size for part in mds_decode("jpeg_array", mds_encode("jpegarray", [stored]))]
    with pytest.raises(ColumnValueError, match="RGBA as JPEG"):
        mds_encode("jpeg", Image.new("RGBA", (2, 2)))


def test_bytes_pass_but_are_pickled() -> None:
    for name in NAMES - {"pkl"} - NEED_CONFIG:
        assert mds_encode(name, b"as is") == b"as is"
    assert pickle.loads(mds_encode("pkl", b"as is")) == b"as is"


@pytest.mark.parametrize(
    ("odd", "text"),
    [
        ({1: 2, "1": 3}, "the keys 1 and '1' of a dict"),
        ([{"a": ({"null": 0, None: 1},)}], "'null' and None"),
        (OrderedDict(x=OrderedDict([(True, 0), ("true", 1)])), "True and 'true'"),
        ({"a": [1.5, {1.5: 0, "1.5": 1}]}, "1.5 and '1.5'"),
    ],
)
def test_keys_that_json_cannot_tell_apart(odd: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        mds_encode("json", odd)


def test_other_keys_of_json() -> None:
    assert mds_encode("json", {1: [{"1": 2}], 2: {1: 0}, None: 0}) == b'{"1": [{"1": 2}], "2": {"1": 0}, "null": 0}'


def test_json_takes_numpy() -> None:
    value = {"array": np.arange(3), "number": np.int64(3), "flag": np.bool_(True)}
    assert json.loads(mds_encode("json", value)) == {"array": [0, 1, 2], "number": 3, "flag": True}
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ColumnValueError, match="Circular"):
        mds_encode("json", loop)


def test_decoded_values_own_their_memory() -> None:
    data = bytearray(mds_encode("ndarray:int16:2,3", INT16))
    back = mds_decode("ndarray:int16:2,3", data)
    data[:] = bytes(len(data))
    assert (back == INT16).all()


@pytest.mark.parametrize("name", ["x:y", "int:3", "nope", "", ":", None, 3, "ndarray:int8:0"])
@pytest.mark.parametrize("bad", ["", "ndarray:x", "ndarray:complex64", "ndarray::2", "ndarray:int8:"])
def test_no_such_encoding(name: Any, bad: str) -> None:
    assert not is_mds_encoding(name)
    assert not is_mds_encoding(bad)


@pytest.mark.parametrize("call", [get_mds_encoded_size, lambda name: mds_encode(name, 1)])
def test_unknown_names_raise(call: Any) -> None:
    for name in ("nope", "nope:2"):
        with pytest.raises(UnknownNameError, match="Known: .*ndarray"):
            call(name)
    with pytest.raises(ConfigError, match="no configuration"):
        call("int:3")
    with pytest.raises(AssertionError):
        call("ndarray:int8:0")
    with pytest.raises(ValueError, match="lengths joined by commas"):
        call("ndarray:int8:")


def test_sizes() -> None:
    assert get_mds_encoded_size("ndarray:uint16:2,3") == 12
    assert get_mds_encoded_size("ndarray:uint16") is None
    assert get_mds_encoded_size("int") == 8
    assert get_mds_encoded_size("str") is None


@pytest.mark.parametrize("name", sorted(NAMES - {"pkl"}))
@given(data=st.binary(max_size=40))
@share(0.2)
def test_garbage_never_crashes(name: str, data: bytes) -> None:
    try:
        mds_decode(name, data)
    except MemoryError:
        raise
    except Exception as error:
        assert not isinstance(error, AssertionError)  # noqa: PT017


@pytest.mark.parametrize(
    ("name", "hexed"),
    [
        ("ndarray", ""),
        ("ndarray", "07"),
        ("ndarray", "08"),
        ("ndarray", "0804"),
        ("ndarray", "080400"),
        ("ndarray", "08040301"),
        ("ndarray", "0807" + "ff" * 8),
        ("ndarray:int16", "0402000100"),
        ("pil", "00"),
        ("pil", "ffffffffffffffff010000004c" + "00" * 9),
        ("jpeg_array", "00"),
        ("jpeg_array", "00000000"),
        ("jpeg_array", "ffffffff00000000"),
        ("list[png]", "00000000"),
        ("list[png]", "000000000100000009000000"),
        ("list[png]", "00000000ffffffff"),
    ],
)
def test_lying_headers(name: str, hexed: str) -> None:
    with pytest.raises(ValueError, match="no "):
        mds_decode(name, bytes.fromhex(hexed))


class Reversed(Encoding):
    def encode(self, obj: str) -> bytes:
        self._validate(obj, str)
        return obj.encode()[::-1]

    def decode(self, data: bytes) -> str:
        return data[::-1].decode()


class Padded:
    """Duck-typed, with a configuration and a fixed size."""

    safe = False

    def __init__(self, width: str = "4") -> None:
        self.size = int(width)

    def encode(self, obj: str) -> bytes:
        return obj.encode().ljust(self.size)

    def decode(self, data: bytes) -> str:
        return data.decode().rstrip()


@pytest.fixture
def custom() -> Any:
    encodings["reversed"] = Reversed
    encodings["padded"] = Padded
    yield
    del encodings["reversed"], encodings["padded"]


@pytest.mark.usefixtures("custom")
def test_custom_encodings() -> None:
    assert is_mds_encoding("reversed")
    assert mds_decode("reversed", mds_encode("reversed", "abc")) == "abc"
    assert mds_encode("reversed", "abc") == b"cba"
    with pytest.raises(AttributeError):
        mds_encode("reversed", 3)
    assert get_mds_encoded_size("padded") == 4
    assert get_mds_encoded_size("padded:9") == 9
    assert mds_decode("padded:9", mds_encode("padded:9", "ab")) == "ab"
    assert is_mds_encoding_safe("reversed")
    assert not is_mds_encoding_safe("padded:9")
    encoder = make_shard_encoder("mds", columns={"a": "reversed", "b": "padded:3"})
    assert encoder.index_fields()["column_sizes"] == [None, 3]
    assert encoder.encode_sample({"a": "xy", "b": "z"}) == b"\2\0\0\0yxz  "


@pytest.mark.usefixtures("custom")
def test_encodings_can_be_replaced() -> None:
    assert mds_encode("reversed", "abc") == b"cba"
    encodings["reversed"] = encodings["str"]
    assert mds_encode("reversed", "abc") == b"abc"


def test_safety() -> None:
    assert {name for name in NAMES if not is_mds_encoding_safe(name)} == {"pkl"}
    assert is_mds_encoding_safe("unregistered")


def test_sample_errors() -> None:
    encoder = make_shard_encoder("mds", columns={"a": "int", "b": "ndarray:uint8:2"})
    with pytest.raises(KeyError, match="no column 'b'"):
        encoder.encode_sample({"a": 1})
    with pytest.raises(MissingColumnError):
        encoder.encode_sample({})
    with pytest.raises(ColumnTypeError, match=r"Column 'a' \(int\): expected int"):
        encoder.encode_sample({"a": "1", "b": np.zeros(2, "uint8")})
    with pytest.raises(ColumnSizeError, match="takes 8 bytes, got 3"):
        encoder.encode_sample({"a": b"abc", "b": np.zeros(2, "uint8")})
    assert issubclass(ColumnSizeError, StreamingError)


def test_image_library_is_loaded_on_first_use() -> None:
    code = (
        "import sys, streaming.format.shard, streaming.format.encodings as e;"
        "e.is_mds_encoding('pil'); print([m for m in ('PIL', 'torch', 'brotli', 'snappy')"
        " if m in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, timeout=60, check=True, text=True
    ).stdout
    assert output.strip() == "[]"
