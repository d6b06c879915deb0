"""Credentials that only the program knows: written with them, read with them in workers, and shown nowhere."""

from __future__ import annotations

import io
import logging
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

import streaming
from streaming import JSONWriter, MDSWriter, Stream, StreamingDataLoader, StreamingDataset
from streaming.core.errors import ConfigError
from streaming.writing.merge import merge_index

from sample_data import COLUMNS, sample, write_dataset
from servers import S3Server

N = 300
SECRET = "hunter2SECRET"


@pytest.fixture
def options(s3_session: S3Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    for name in list(os.environ):
        if name.startswith(("AWS_", "S3_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TEST_ENDPOINT", s3_session.endpoint)
    return module_options()


def module_options() -> dict[str, Any]:
    return {"endpoint": os.environ["TEST_ENDPOINT"], "key": "testing", "secret": SECRET}


@pytest.mark.parametrize(
    ("form", "start"),
    [
        ("mapping", "fork"),
        ("function", "spawn"),
        pytest.param("mapping", "spawn", marks=pytest.mark.long),
        pytest.param("function", "fork", marks=pytest.mark.long),
    ],
)
def test_write_read_resume(
    s3_session: S3Server, options: Any, tmp_path: Path, form: str, start: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    given = options if form == "mapping" else module_options
    bucket = s3_session.create_bucket()
    write_dataset(bucket, N, storage_options=given)
    stream = Stream(remote=bucket, local=str(tmp_path / "cache"), storage_options=given)
    dataset = StreamingDataset(streams=[stream], shuffle=True, batch_size=4)
    workers = 2 if start == "fork" else 1
    loader = StreamingDataLoader(dataset, batch_size=4, num_workers=workers, multiprocessing_context=start, timeout=200)
    seen: list[int] = []
    for batch in loader:
        seen += batch["id"].tolist()
        if len(seen) == 40:
            state = loader.state_dict()
            break
    assert state is not None
    resumed = StreamingDataset(
        remote=bucket, local=str(tmp_path / "cache"), shuffle=True, batch_size=4, storage_options=given
    )
    rest = StreamingDataLoader(resumed, batch_size=4)
    rest.load_state_dict(state)
    for batch in rest:
        seen += batch["id"].tolist()
    assert sorted(seen) == list(range(N))
    saved = io.BytesIO()
    torch.save({"dataset": dataset, "state": state}, saved)
    for where in (pickle.dumps(dataset), saved.getvalue(), repr((stream, dataset, vars(stream))).encode()):
        assert SECRET.encode() not in where
    assert SECRET not in caplog.text
    assert pickle.loads(pickle.dumps(dataset))[7] == sample(7)


def test_writers_and_merge(s3_session: S3Server, options: dict[str, Any], tmp_path: Path) -> None:
    bucket = s3_session.create_bucket()
    rows = [sample(i) for i in range(20)]
    streaming.write(rows, f"{bucket}/0", COLUMNS, workers=1, storage_options=options, progress_bar=False)
    with MDSWriter(columns=COLUMNS, out=f"{bucket}/1", storage_options=module_options) as writer:
        for row in rows:
            writer.write(row)
    merge_index(bucket, storage_options=options)
    dataset = StreamingDataset(remote=bucket, local=str(tmp_path / "cache"), storage_options=options)
    assert dataset[:] == rows * 2
    with JSONWriter(columns=COLUMNS, out=f"{bucket}/json", storage_options=options) as writer:
        writer.write(rows[0])


def test_local_streams_take_no_notice(options: dict[str, Any], make_dataset: Any, tmp_path: Path) -> None:
    local = make_dataset(20)
    dataset = StreamingDataset(remote=local, local=str(tmp_path / "cache"), storage_options=options)
    assert dataset[3] == sample(3)


def test_unknown_options(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Unknown storage option 'colour'.*Known: .*endpoint"):
        Stream(remote="s3://bucket", storage_options={"colour": SECRET})
    with pytest.raises(ConfigError, match="Unknown storage option 'colour'"):
        MDSWriter(columns=COLUMNS, out="s3://bucket", storage_options={"colour": SECRET})
