from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming import MDSWriter, StreamingDataset
from streaming.core.errors import ConfigError, UnknownNameError
from streaming.storage.location import Location
from streaming.storage.registry import open_store, stores
from streaming.storage.url import check_path, file_path, join, odd_base, redact, redact_text, scheme_of, split_bucket

NAMES = st.text("abcXYZ-_. 0/", min_size=1).filter(lambda s: s.strip("/"))


@pytest.mark.parametrize(
    ("url", "scheme"),
    [
        ("/a/b", ""),
        ("a:b", ""),
        ("~/x", ""),
        ("s3://b/x", "s3"),
        ("S3://b/x", "s3"),
        ("azure-dl://c/x", "azure-dl"),
        ("dbfs:/Volumes/a/b", "dbfs"),
        ("DBFS:/Volumes/a/b", "dbfs"),
        ("./s3:/x", ""),
        ("C:/x", ""),
        ("dir with spaces ", ""),
        ("file:///x", "file"),
    ],
)
def test_scheme(url: str, scheme: str) -> None:
    assert scheme_of(url) == scheme
    assert Location.parse(url).is_local == (scheme in ("", "file"))


@pytest.mark.parametrize(
    ("parts", "joined"),
    [
        (("s3://b/x/", "train", "i.json"), "s3://b/x/train/i.json"),
        (("s3://b", "", None, "/i/"), "s3://b/i"),
        (("/data/", "train"), "/data/train"),
        (("/data", None), "/data"),
        (("https://h/x?sig=1", "train"), "https://h/x/train?sig=1"),
        (("s3://h/x?", "train"), "s3://h/x?/train"),
        (("dbfs:/Volumes/a", "b"), "dbfs:/Volumes/a/b"),
        (("s3://b/x//", "i"), "s3://b/x//i"),
        (("s3://b//x", "i"), "s3://b//x/i"),
    ],
)
def test_join(parts: tuple[str, ...], joined: str) -> None:
    assert join(*parts) == joined


@given(st.lists(NAMES, max_size=4))
def test_join_is_associative(parts: list[str]) -> None:
    at_once = join("s3://bucket/root", *parts)
    one_by_one = "s3://bucket/root"
    for part in parts:
        one_by_one = join(one_by_one, part)
    assert at_once == one_by_one


def test_split_bucket() -> None:
    assert split_bucket("s3://b/x/y/") == ("b", "x/y")
    assert split_bucket("s3://b") == ("b", "")
    with pytest.raises(ConfigError, match="names no bucket"):
        split_bucket("s3:///x")


@given(user=st.text("abcSECRET123%:", min_size=6), query=st.text("sig=SECRET&%", min_size=6))
def test_redact_leaves_no_secret(user: str, query: str) -> None:
    url = f"https://{user}@host:81/some/path?{query}"
    assert redact(url) == "https://host:81/some/path"
    assert redact_text(f"GET {url} failed") == "GET https://host:81/some/path failed"


def test_redact_keeps_names_where_there_are_no_queries() -> None:
    assert redact("s3://b/what?/ha#sh") == "s3://b/what?/ha#sh"
    assert redact("s3://me:SECRET@b/what?sig=SECRET") == "s3://b/what"


def test_a_file_url_has_no_query() -> None:
    assert file_path("file:///a/b%20c?d#e") == file_path("FILE:///a/b%20c?d#e") == "/a/b c?d#e"


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://host/a#b/c", "goes on with '#'.*write %23"),
        ("az://box/what?.parquet", "begins no shared access signature.*write %3F"),
        ("az://box/a#b", "write %3F for . and %23 for #"),
    ],
)
def test_names_that_have_to_be_encoded(url: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        open_store(url, {"account_name": "me"} if url.startswith("az") else None)


def test_redact_keeps_what_is_no_url() -> None:
    assert redact("/a/b?c@d") == "/a/b?c@d"
    assert redact("https://[bad") == "https://***"


@given(st.lists(st.sampled_from(["a", "b.c", "..", ".", "", "d e"]), min_size=1, max_size=5))
def test_check_path_takes_only_what_stays_below(parts: list[str]) -> None:
    path = "/".join(parts)
    if set(parts) & {"", ".", ".."}:
        with pytest.raises(ConfigError):
            check_path(path)
    else:
        assert check_path(path) == path


def test_unknown_schemes_name_the_known() -> None:
    with pytest.raises(UnknownNameError, match=r"'gopher'.*file.*http.*s3"):
        open_store("gopher://x")


def test_third_parties_add_schemes() -> None:
    class Memory:
        def __init__(self, url: str, options: object) -> None:
            self.url = url

    stores["memory-test"] = Memory  # pyright: ignore[reportArgumentType]
    try:
        assert isinstance(open_store("memory-test://x"), Memory)
    finally:
        del stores["memory-test"]


@pytest.mark.parametrize(
    ("url", "options", "text"),
    [
        ("s3://", {}, "names no bucket"),
        ("s3://b", {"colour": 1}, "Unknown storage option 'colour'.*region"),
        ("s3://b", {"endpoint": "minio:9000"}, "expected http"),
        ("http:///x", {}, "names no host"),
        ("https://h", {"region": "x"}, "Unknown storage option 'region'"),
        ("/x", {"region": "x"}, "takes no storage options"),
        ("file://host/x", {}, "names the host 'host'"),
        ("", {}, "empty path"),
    ],
)
def test_bad_arguments(url: str, options: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        open_store(url, options)


MISTAKES = [
    ("s3:/bucket/x", "s3://bucket/x"),
    ("s3//bucket/x", "s3://bucket/x"),
    ("s3:bucket/x", "s3://bucket/x"),
    ("GS:/bucket", "gs://bucket"),
    ("http:/host/x", "http://host/x"),
    ("https//host/x", "https://host/x"),
    ("hf:datasets/owner/name", "hf://datasets/owner/name"),
    ("dbfs:Volumes/c/s/v", "dbfs:/Volumes/c/s/v"),
    ("dbfs//Volumes/c/s/v", "dbfs:/Volumes/c/s/v"),
    ("file:/x", "file:///x"),
    ("azure-dl:/c", "azure-dl://c"),
    ("sftp:/host/x", "sftp://host/x"),
]


@pytest.mark.parametrize(("given", "meant"), MISTAKES)
def test_what_is_meant_to_be_a_url_is_no_local_directory(
    given: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=f"Did you mean '{meant}'"):
        StreamingDataset(remote=given, local=str(tmp_path / "cache"), batch_size=1)
    with pytest.raises(ConfigError, match=f"Did you mean '{meant}'"):
        MDSWriter(out=given, columns={"x": "int"})
    with pytest.raises(ConfigError, match=f"Did you mean '{meant}'"):
        MDSWriter(out=(given, str(tmp_path / "out")), columns={"x": "int"})
    with pytest.raises(ConfigError, match=f"Did you mean '{meant}'"):
        StreamingDataset(local=given, batch_size=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("given", [" s3://bucket/x", "s3://bucket/x\n", "\ts3:/bucket", "dbfs:/Volumes/c/s/v "])
def test_white_space_around_a_url(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for use in (open_store, lambda url: MDSWriter(out=url, columns={"x": "int"})):
        with pytest.raises(ConfigError, match="white space"):
            use(given)
    assert not list(tmp_path.iterdir())


def test_mistakes_keep_secrets() -> None:
    with pytest.raises(ConfigError) as raised:
        scheme_of("https:/user:SECRET@host/x?sig=SECRET")
    assert "SECRET" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("s3://b", None),
        ("s3://b/x/", None),
        ("s3://b//", "/"),
        ("s3://b//x", "//x"),
        ("s3://b/x//", "/x/"),
        ("s3://b/x//y?//z", "/x//y?//z"),
        ("az://b/x//y/?q=//", "/x//y"),
    ],
)
def test_empty_segments(url: str, base: str | None) -> None:
    assert odd_base(url) == base
