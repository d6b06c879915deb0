"""Downloaders and uploaders by the original's names."""

from __future__ import annotations

from pathlib import Path

import pytest

from streaming.base.storage import CloudDownloader, CloudUploader, LocalDownloader, S3Downloader, S3Uploader
from streaming.base.storage.download import DOWNLOADER_MAPPINGS
from streaming.base.storage.upload import UPLOADERS, LocalUploader


def test_s3_round_trip(bucket: str, tmp_path: Path) -> None:
    local = tmp_path / "local"
    uploader = CloudUploader.get((str(local), f"{bucket}/some/pre"))
    assert isinstance(uploader, S3Uploader)
    assert (uploader.local, uploader.remote) == (str(local), f"{bucket}/some/pre")
    (local / "sub").mkdir()
    for name in ("a", "sub/b"):
        (local / name).write_text(name)
        uploader.upload_file(name)
        assert not (local / name).exists()
    assert uploader.list_objects() == ["some/pre/a", "some/pre/sub/b"]
    assert uploader.list_objects("sub") == uploader.list_objects("sub/") == ["some/pre/sub/b"]
    assert uploader.list_objects("a") == ["some/pre/a"]
    assert uploader.list_objects("none/") == []
    downloader = CloudDownloader.get(bucket)
    assert isinstance(downloader, S3Downloader)
    downloader.download(f"{bucket}/some/pre/sub/b", str(tmp_path / "new" / "b"), 30)
    downloader.clean_up()
    assert (tmp_path / "new" / "b").read_text() == "sub/b"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["b"]
    with pytest.raises(FileNotFoundError):
        CloudDownloader.direct_download(f"{bucket}/none", str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()
    with pytest.raises(FileNotFoundError):
        CloudUploader.get((str(tmp_path / "other"), "s3://there-is-no-such-bucket/x"))


def test_a_url_alone_passes_through_a_temporary_directory(bucket: str) -> None:
    uploader = CloudUploader.get(f"{bucket}/x", keep_local=True, progress_bar=True)
    path = Path(uploader.local) / "a"
    path.write_text("a")
    uploader.upload_file("a")
    assert path.exists()
    path.unlink()
    path.parent.rmdir()


def test_mounted_file_systems(tmp_path: Path) -> None:
    local, remote = tmp_path / "local", tmp_path / "remote"
    uploader = CloudUploader.get((str(local), str(remote)))
    assert isinstance(uploader, LocalUploader)
    (local / "sub").mkdir()
    (local / "sub" / "a").write_text("a")
    assert uploader.list_objects() == [str(local / "sub" / "a")]
    uploader.upload_file("sub/a")
    assert (remote / "sub" / "a").read_text() == "a"
    assert uploader.list_objects() == []
    downloader = CloudDownloader.get()
    assert isinstance(downloader, LocalDownloader)
    downloader.download(str(remote / "sub" / "a"), str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_text() == "a"
    (tmp_path / "copy").write_text("mine")
    downloader.download(str(remote / "sub" / "a"), str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_text() == "mine"


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="zz://a"):
        CloudDownloader.get("zz://a")
    with pytest.raises(ValueError, match="no remote"):
        LocalDownloader().download(None, str(tmp_path / "x"))
    with pytest.raises(ValueError, match="s3 paths"):
        S3Downloader().download("/a/b", str(tmp_path / "x"))
    with pytest.raises(FileNotFoundError):
        LocalDownloader().download(str(tmp_path / "none"), str(tmp_path / "x"))
    with pytest.raises(ValueError, match="pair"):
        CloudUploader.get(("a", "b", "c"))
    with pytest.raises(ValueError, match="zz://x"):
        CloudUploader.get("zz://x")
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="not empty"):
        CloudUploader.get(str(tmp_path))
    plain = CloudUploader(str(tmp_path), exist_ok=True)
    for call in (plain.list_objects, lambda: plain.upload_file("file")):
        with pytest.raises(NotImplementedError):
            call()


def test_every_scheme_has_its_class() -> None:
    assert set(DOWNLOADER_MAPPINGS) - {"dbfs-uc"} == (set(UPLOADERS) - {"dbfs:/Volumes"}) | {"sftp"}
    assert type(CloudDownloader.get("dbfs:/Volumes/a/b/c")).__name__ == "DatabricksUnityCatalogDownloader"
    assert type(CloudDownloader.get("dbfs:/a/b/c")).__name__ == "DBFSDownloader"
    for scheme, kind in DOWNLOADER_MAPPINGS.items():
        assert kind._client_identifier() == scheme
