from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.core.errors import ConfigError
from streaming.storage.location import Location
from streaming.storage.registry import open_store
from streaming.storage.url import join, redact

URLS = [
    "s3://bucket/data//train/",
    "S3://bucket",
    "https://me:SECRET@host:81/data?sig=SECRET",
    "abfss://box@account.dfs.core.windows.net/data?sig=SECRET",
    "dbfs:/Volumes/a/b",
    "file:///data/train",
    "/data/train/",
    "data?x=1",
    "~/data",
    "./s3:/odd",
]


@pytest.mark.parametrize("url", URLS)
def test_nothing_is_lost_and_no_secret_shown(url: str) -> None:
    place = Location.parse(url, {"secret_access_key": "SECRET"})
    assert place.url == url
    assert str(place) == redact(url)
    for same in (place, copy.deepcopy(place), pickle.loads(pickle.dumps(place))):
        assert same == place
        assert "SECRET" not in f"{same} {same!r} {same.options!r} {[same]}"


@pytest.mark.parametrize("url", URLS)
@given(names=st.lists(st.sampled_from(["a", "/b/", "c d", "", None]), max_size=3))
def test_it_joins_as_its_text_does(url: str, names: list[str | None]) -> None:
    place = Location.parse(url)
    assert place.join(*names).url == join(url, *names)
    assert place.join(*names).options is place.options


@pytest.mark.parametrize("url", ["s3:/bucket", "s3//bucket", " s3://bucket", "s3://bucket ", "dbfs:/Volumes/a\n"])
def test_what_is_no_url_becomes_no_place(url: str) -> None:
    with pytest.raises(ConfigError, match="is not a URL|white space"):
        Location.parse(url)


def test_a_local_place_takes_none_of_the_options_of_others(tmp_path: Path) -> None:
    for url in (str(tmp_path), f"file://{tmp_path}"):
        place = Location.parse(url, {"region": "x"})
        assert (place.is_local, place.path, place.expanded().url) == (True, str(tmp_path), str(tmp_path))
        assert place.options.reveal() == place.with_options(dict).options.reveal() == {}
        assert repr(open_store(place)) == str(tmp_path)
    remote = Location.parse("s3://bucket", {"region": "x"})
    assert remote.options.reveal() == {"region": "x"}
    assert remote.with_options({"region": "y"}).options.reveal() == {"region": "y"}


def test_relative_paths_are_meant_from_somewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert Location.parse("data").absolute("/here").url == "/here/data"
    assert Location.parse("~/data").absolute("/here").url == "/home/me/data"
    assert Location.parse("/data").absolute("/here").url == "/data"
    assert Location.parse("s3://bucket").absolute("/here").url == "s3://bucket"


@pytest.mark.parametrize(
    ("url", "directory"),
    [
        ("s3://bucket/data/index.json", "s3://bucket/data"),
        ("https://host/data/index.json?sig=1", "https://host/data?sig=1"),
        ("s3://bucket/index.json/", "s3://bucket/index.json/"),
        ("/data/index.json", "/data"),
        ("/index.json", "/"),
        ("index.json", "."),
        ("/data/my-index.json", "/data/my-index.json"),
    ],
)
def test_a_directory_may_be_given_by_its_index(url: str, directory: str) -> None:
    assert Location.parse(url).above("index.json").url == directory


@pytest.mark.parametrize("options", [{"region": "x"}, dict])
def test_options_of_a_local_place_alone_are_refused(options: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="takes no storage options"):
        open_store(str(tmp_path), options)
