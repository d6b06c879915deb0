"""Plans and proofs on the command line, and the files of the original's simulator."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

import pytest

from streaming import MDSWriter, Phase, Ramp, Schedule, Stream, StreamingDataset
from streaming.cli.main import main
from streaming.cli.simulator import main as simulator
from streaming.planning import read_prices

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process; return its exit code and what it printed."""

    def call(*args: object) -> tuple[int, str, str]:
        return main([str(arg) for arg in args]), *capsys.readouterr()

    return call


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    path = str(tmp_path / "corpus")
    with MDSWriter(columns={"x": "int32"}, out=path, size_limit=500) as out:
        for i in range(640):
            out.write({"x": i})
    return path


def test_a_plan_of_a_dataset(run: Run, corpus: str, tmp_path: Path) -> None:
    prices = tmp_path / "prices.json"
    prices.write_text('{"date": "2030-01-01", "currency": "EUR", "prices": {"ours": {"per_gb": 1000000}}}')
    bench = tmp_path / "bench.json"
    bench.write_text('{"first_byte_ms": 10, "fetched_mb_per_s": 1, "workers": 2, "samples_per_s": 1000}')
    words = ["--nodes", 2, "--ranks", 2, "--batch-size", 8, "--bench", bench, "--step", 0.5, "--prices", prices]
    code, out, _ = run("plan", corpus, *words, "--json", "--out", tmp_path / "pictures")
    plan = json.loads(out)
    assert (code, plan["counts"]["steps"], plan["counts"]["samples"]) == (0, 20, 640)
    assert plan["bytes"] == sum(node["bytes"] * len(node["nodes"]) for node in plan["nodes"]) > 0
    assert (plan["money"]["currency"], plan["money"]["date"]) == ("EUR", "2030-01-01")
    assert plan["speed"]["latency_s"] == 0.01
    pictures = sorted((tmp_path / "pictures").iterdir())
    assert [path.name for path in pictures] == ["cache.svg", "download.svg", "in_use.svg", "quality.svg"]
    assert all(ElementTree.parse(path).getroot().tag.endswith("svg") for path in pictures)
    code, out, _ = run("plan", corpus, corpus, "--proportions", "3,1", "--price", "0.09")
    assert code == 0
    assert "stream 1" in out
    assert run("plan", corpus, "--set", "no_such=1")[0] == 2
    assert "a URL, or --estimate" in run("plan")[2]


def test_shares_that_change(run: Run, corpus: str) -> None:
    words = ["plan", corpus, corpus, "--batch-size", 8, "--steps", 100, "--json"]
    code, out, _ = run(*words, "--mix", "0:0.75,0.25; 160-320:0.5,0.5")
    assert code == 0
    mix = Schedule([Phase(0, {"a": 0.75, "b": 0.25}), Ramp(160, 320, to={"a": 0.5, "b": 0.5})])
    streams = {name: Stream(local=corpus) for name in ("a", "b")}
    with closing(StreamingDataset(streams=streams, mix=mix, batch_size=8, shuffle=True)) as dataset:
        drawn = [stream.drawn for stream in dataset.plan(steps=100).streams]
    assert [stream["drawn"] for stream in json.loads(out)["streams"]] == drawn
    assert drawn[1] > 0.25 * 800
    code, out, _ = run(*words, "--mix", "0:0.75,0.25; 20ba-40ba:0.5,0.5")
    assert [stream["drawn"] for stream in json.loads(out)["streams"]] == drawn
    for wrong, said in (
        ("0:1", "2 shares"), ("0:a,b", "2 shares"), ("0:1,1; 5ba:1,0; 9:1,0", "batches"), ("0-1-2:1,1", "FROM-TO"),
        ("x:1,1", "is not a count"),
    ):  # fmt: skip
        code, _, err = run(*words, "--mix", wrong)
        assert code == 2
        assert said in err
    assert "give one of them" in run(*words, "--mix", "0:1,1", "--proportions", "1,1")[2]


def test_an_estimate_is_of_a_bucket(run: Run) -> None:
    code, out, _ = run("plan", "--estimate", "10x100x64mb", "--batch-size", 10, "--json")
    assert code == 0
    assert json.loads(out)["requests"] == 10 * 16 + 1  # of 4 MB each, and the index


def test_prices_say_where_they_were_read(run: Run, corpus: str) -> None:
    table = read_prices()
    assert all(price.source and price.date for price in table.values())
    for name in ("gcs-internet", "aws-internet"):
        out = run("plan", corpus, "--price", name)[1]
        assert f"prices of {table[name].date} ({table[name].source})" in out
    assert table["aws-internet"].source.startswith("unverified")


def test_the_simulator_opens_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def streaming(words: list[str]) -> int:
        asked.append(words)
        return 0

    monkeypatch.setattr("streaming.cli.simulator.streaming", streaming)
    assert simulator(["--port", "0"]) == simulator(["-f", "run.yaml", "--page"]) == 0
    assert asked == [["serve", "--port", "0"], ["serve", "--port", "8080", "--run", "run.yaml"]]


@pytest.mark.apart
def test_the_published_example(run: Run) -> None:
    words = [
        "--ranks",
        8,
        "--workers",
        8,
        "--batch-size",
        16,
        "--steps",
        1000,
        "--sample",
        0.0175,
        "--bandwidth",
        "500mb",
    ]
    settings = ["--set", "shuffle_algo=py1e", "--set", "shuffle_seed=42"]
    code, out, _ = run("plan", "--estimate", "2000x4000x60mb", *words, *settings, "--json")
    plan = json.loads(out)
    assert (code, plan["counts"]["samples"], plan["counts"]["size"]) == (0, 128_000, 8_000_000)
    assert plan["time"]["step_s"] == pytest.approx(0.28)
    assert plan["time"]["first_batch_s"] > 60 / 500
    assert plan["bytes"] == plan["nodes"][0]["fetches"] * 60 * 1024**2


@pytest.mark.parametrize("shape", ["loader", "dataset"])
def test_files_of_the_simulator(
    run: Run, corpus: str, tmp_path: Path, shape: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("yaml")
    path = tmp_path / "conf.yaml"
    dataset = {
        "streams": {"one": {"remote": corpus, "local": "/nowhere", "path": 1}},
        "shuffle": True,
        "max_seq_len": 8,
    }
    if shape == "loader":
        document = {"train_loader": {"num_workers": 3, "dataset": dataset}, "max_duration": "2ep"}
        document |= {"compute": {"gpus": 4}, "global_train_batch_size": 32}
    else:
        inner = {"dataloader_kwargs": {"num_workers": 3}, "streaming_kwargs": {"shuffle": True}, "remote": [corpus]}
        document = {"dataset": {"train_dataset": inner, "train_batch_size": 32}, "trainer": {"max_duration": "40ba"}}
        document = {"parameters": {**document, "compute": {"gpus": 4}}}
    path.write_text(json.dumps(document))  # which is YAML too
    code, out, err = run("plan", path, "--nodes", 2, "--json")
    plan = json.loads(out)
    assert (code, plan["counts"]["steps"], plan["counts"]["samples"]) == (0, 40, 1280)
    job = plan["job"]
    assert (job["nodes"], job["ranks_per_node"], job["workers"], job["batch_size"]) == (2, 2, 3, 8)
    assert ("max_seq_len" in err) == (shape == "loader")
    assert simulator(["-f", str(path), "-n", "2", "-t", "0.01", "-b", "10mb"]) == 0
    assert "first batch" in capsys.readouterr().out
    path.write_text("max_duration: 2ep")
    assert "names no dataset" in run("plan", path)[2]


def test_proofs(run: Run, corpus: str) -> None:
    words = ["--nodes", 2, "--ranks", 2, "--batch-size", 8, "--worlds", "1x1x0,4x1x2"]
    code, out, _ = run("check", corpus, *words)
    assert (code, out.splitlines()[-1]) == (0, "all of it holds")
    limit = Path(corpus, "index.json").stat().st_size + 2000
    code, out, _ = run("check", corpus, *words, "--json", "--cache-limit", limit)
    report = json.loads(out)
    wrong = [finding["name"] for finding in report["findings"] if not finding["holds"]]
    assert (code, report["holds"], wrong) == (1, False, ["cache"])
    assert "NODESxRANKSxWORKERS" in run("check", corpus, "--worlds", "2x2")[2]
