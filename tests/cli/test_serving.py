"""``streaming serve``: asked by HTTP and by a browser, with samples that mean harm."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import wave
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener

import numpy as np
import pytest

import streaming
from streaming.core.process.ledger import CAUSES
from streaming.loader.watching.files import ReportFile
from streaming.loader.watching.report import Report, Worker

pytest.importorskip("starlette", reason="the extra `serve` is not installed")
Image = pytest.importorskip("PIL.Image", reason="the extra `vision` is not installed")

_SCRIPT = "</td><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def _png(width: int, height: int) -> bytes:
    """Return a PNG that says it has so many pixels, and has none."""
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\0\0\0"
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    parts = [
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big") for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _jpeg() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((48, 64, 3), 128, np.uint8)).save(file, "JPEG")
    return file.getvalue()


def _wav() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(1600))
    return file.getvalue()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("served")
    rows = [
        {
            "caption": f"{i} {_SCRIPT}", "file": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
            "huge": _png(9_000, 9_000), "broken": b"\0\0\0\x18ftypmp42" + bytes(100), "image": _jpeg(), "label": i % 3,
            "meta": {"a": [1, {"b": _SCRIPT}], "deep": [[[[[[[[1]]]]]]]]}, "sound": _wav(), "weight": i / 7,
            "tokens": np.arange(i + 2, dtype=np.uint16), "long": "x" * 100_000, "anything": {1, 2},
        }
        for i in range(45)
    ]  # fmt: skip
    columns = {
        "caption": "str", "file": "bytes", "huge": "bytes", "broken": "video", "image": "jpeg", "label": "int",
        "meta": "json", "sound": "audio", "weight": "float64", "tokens": "ndarray:uint16", "long": "str", "anything": "pkl",
    }  # fmt: skip
    with streaming.MDSWriter(columns=columns, out=f"{root}/hostile", size_limit="1mb") as out:
        for row in rows:
            out.write(row)
    streaming.index_columns(f"{root}/hostile", ["label", "weight"], beside=True)
    named = f"{root}/<img src=x>"
    with streaming.MDSWriter(columns={"<b>": "bytes", _SCRIPT: "int"}, out=named) as out:
        for value in (b"[" * 100_000, b'{"<i>": 1}', b"\xff"):
            out.write({"<b>": value, _SCRIPT: 1})
    index = json.loads(
        Path(named, "index.json").read_text().replace('"bytes"]', '"json"]').replace('"bytes",', '"json",')
    )
    Path(named, "index.json").write_text(json.dumps(index))
    index["shards"][0]["raw_data"]["basename"] = "../hostile/shard.00000.mds"
    Path(root, "out").mkdir()
    Path(root, "out", "index.json").write_text(json.dumps(index))
    with streaming.MDSWriter(columns={"tokens": "ndarray:uint16"}, out=f"{root}/texts") as out:
        for i in range(60):
            out.write({"tokens": np.full(1 + i % 13, i, np.uint16)})
    wide = {f"c{i}": i for i in range(2_000)}
    with streaming.MDSWriter(columns=dict.fromkeys(wide, "int"), out=f"{root}/below/wide") as out:
        out.write(wide)
    return root


class Served:
    """A server, and what asks it as a browser would that was given the address."""

    def __init__(self, *words: str) -> None:
        command = [sys.executable, "-m", "streaming", "serve", *words, "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        if self.address == "{":  # what --json says
            said = "{\n"
            while not said.endswith("\n}\n"):
                said += self.process.stdout.readline() or pytest.fail(said)
            self.told = json.loads(said)
            self.address = self.told["url"]
        self.base = re.match(r"http://[^/]+", self.address)[0]  # pyright: ignore[reportOptionalSubscript]
        self.asks = build_opener(HTTPCookieProcessor(CookieJar()))
        self.asks.open(self.address, timeout=60).read()

    def get(self, path: str, headers: dict[str, str] | None = None, **query: Any) -> tuple[int, str, bytes]:
        request = Request(f"{self.base}/{path}?{urlencode(query)}", headers=headers or {})
        try:
            answer: Any = self.asks.open(request, timeout=120)
        except HTTPError as error:
            answer = error
        with answer:
            return answer.status, answer.headers.get("content-type", ""), answer.read()

    def page(self, path: str, **query: Any) -> str:
        status, kind, data = self.get(path, **query)
        assert (status, kind) == (200, "text/html; charset=utf-8"), data
        return data.decode()


@contextmanager
def _serving(*words: str) -> Iterator[Served]:
    server = Served(*words)
    try:
        yield server
    finally:
        server.process.send_signal(signal.SIGINT)
        _, said = server.process.communicate(timeout=60)
    assert "Traceback" not in said, said


@pytest.fixture(scope="module")
def reports(root: Path) -> Path:
    return root.with_name("reports")


@pytest.fixture(scope="module")
def served(root: Path, reports: Path) -> Iterator[Served]:
    with _serving(str(root), "--reports", str(reports), "--json") as server:
        yield server


def test_the_datasets_below_a_place(served: Served) -> None:
    names = ["%3Cimg+src%3Dx%3E", "below%2Fwide", "hostile", "out", "texts"]
    assert re.findall(r"dataset\?d=([^\"]+)", served.page("")) == names
    page = served.page("dataset", d="hostile")
    assert "ndarray:uint16" in page
    assert "kept closed" in page
    assert "shard.00003.mds" in page
    for path in ("dataset", "samples", "sample"):
        assert "The first 100 of 2,000 columns." in served.page(path, d="below/wide")
    assert ">c999<" not in served.page("samples", d="below/wide")


def test_samples_are_text_and_bounded(served: Served) -> None:
    for page in (served.page("samples", d="hostile"), served.page("sample", d="hostile", n=7)):
        assert "<script>document" not in page
        assert "&lt;script&gt;document" in page
        assert "<svg xmlns" not in page
        assert len(page) < 400_000
    page = served.page("sample", d="hostile", n=7)
    assert "80,000 more characters" in page
    assert "array uint16 [9]: 0, 1" in page
    assert "Kept closed" in page
    assert "not unfolded" in page


def test_what_cannot_be_decoded_hides_nothing_else(served: Served) -> None:
    page = served.page("samples", d="<img src=x>")
    for number, kind in ((0, "RecursionError"), (2, "UnicodeDecodeError")):
        assert re.search(rf"shard\.00000\.mds, sample {number}, column .*: {kind}", page)
    assert "1 field<" in page
    for page in (page, served.page("sample", d="<img src=x>", n=1), served.page("dataset", d="<img src=x>")):
        assert "&lt;/td&gt;&lt;script&gt;" in page
        for mark in ("<img src=x>", "<script>document", "<b>", "<i>"):
            assert mark not in page
    status, _, data = served.get("sample", d="<img src=x>", n=0)
    assert status == 400
    assert b"RecursionError" in data
    status, _, data = served.get("samples", d="out")
    assert status == 400
    assert b"could leave the dataset&#39;s directory" in data


def test_a_dataset_that_is_written_again_is_shown_anew(served: Served, root: Path) -> None:
    for count in (3, 5):
        shutil.rmtree(root / "again", ignore_errors=True)
        with streaming.MDSWriter(columns={"i": "int"}, out=f"{root}/again") as out:
            for i in range(count):
                out.write({"i": i})
        for _ in range(2):
            assert f"0 to {count} of {count}<" in served.page("samples", d="again")
    shutil.rmtree(root / "again")


def test_values_are_pixels_that_were_made_here_or_are_played(served: Served) -> None:
    status, kind, data = served.get("value", d="hostile", n=0, c="image", size="large")
    assert (status, kind) == (200, "image/png")
    assert Image.open(io.BytesIO(data)).size == (64, 48)
    assert served.get("value", d="hostile", n=0, c="sound") == (200, "audio/wav", _wav())
    assert served.get("value", d="hostile", n=0, c="broken")[:2] == (200, "video/mp4")
    status, _, data = served.get("value", d="hostile", n=0, c="huge")
    assert status == 415
    assert b"9,000 x 9,000 pixels is not shown" in data
    for name in ("file", "caption", "tokens"):
        assert served.get("value", d="hostile", n=0, c=name)[0] == 415
    for name in ("anything", "none"):  # what could run code is not read
        assert served.get("value", d="hostile", n=0, c=name)[0] == 404


def test_side_columns_are_counted_and_asked(served: Served) -> None:
    page = served.page("column", d="hostile", c="label")
    assert len(re.findall(r"<rect width=\"100.00\"", page)) == 3  # 15 of each
    where = re.findall(r"where=([^\"&]+)", page)
    assert len(where) == 3
    page = served.page("samples", d="hostile", where="label = 2 AND weight < 1")
    assert re.findall(r"sample\?d=hostile&amp;n=(\d+)\">\d", page) == ["2", "5"]
    assert len(re.findall(r"<rect ", served.page("column", d="hostile", c="weight"))) == 40
    for condition in ("nothing > 1", "label", "exists (select * from read_csv('/etc/passwd'))"):
        status, _, data = served.get("samples", d="hostile", where=condition)
        assert status == 400, data
        assert b"root:" not in data


def test_the_order_is_that_of_training(served: Served, root: Path) -> None:
    page = served.page("order", d="hostile", epoch=1, batch=2, nodes=1, ranks=2, size=4, find=11)
    shown = [list(map(int, re.findall(r"n=(\d+)\"", row))) for row in re.findall(r"<td class=\"ids\">(.*?)</td>", page)]
    dataset = streaming.StreamingDataset(
        local=f"{root}/hostile", batch_size=4, shuffle=True, num_canonical_nodes=1, columns=["label"]
    )
    epoch = dataset.inspect_epoch(1, 1, 2)
    assert shown == epoch.batch(2).tolist()
    (place,) = epoch.find(11)
    assert f">batch {place.batch}</a>, rank {place.rank}, place {place.slot}" in page


def test_documents_of_bins(served: Served, root: Path) -> None:
    asked = {"d": "texts", "pack": 32, "seed": 3}
    page = served.page("order", **asked, nodes=1, ranks=1, size=2, batch=1, find=59)
    dataset = streaming.StreamingDataset(
        local=f"{root}/texts", batch_size=2, shuffle=True, shuffle_seed=3, num_canonical_nodes=1,
        pack=streaming.Pack(tokens="tokens", to=32),
    )  # fmt: skip
    bins = dataset.inspect_epoch(0, 1, 1).batch(1).ravel().tolist()
    assert [int(b) for b in re.findall(r"/bin\?[^\"]*b=(\d+)", page)] == bins
    assert "Sample 59: <a" in page
    held = dataset.documents(bins[0], epoch=0)
    page = served.page("bin", **asked, b=bins[0])
    assert [int(i) for i in re.findall(r"sample\?d=texts&amp;n=(\d+)", page)] == held.ids.tolist()
    assert f"{int(held.lengths.sum())} of 32 tokens" in page
    assert f">{' '.join([str(held.ids[0])] * int(held.lengths[0]))}<" in page
    assert served.get("bin", d="texts", pack=32, b=10**6)[0] == 404
    assert served.get("bin", d="hostile", pack=32, tokens="caption", b=0)[0] == 400


def test_a_plan_with_pictures(served: Served) -> None:
    asked = {"nodes": 2, "ranks": 2, "workers": 1, "batch": 4, "epochs": 2, "bandwidth": "1mb", "step": "0.1"}
    page = served.page("plan", d="hostile", **asked, price="aws-internet")
    plan = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page))
    assert plan["steps"] == "6 of 16 samples, 2 epochs"
    assert "USD" in plan["money"]
    assert re.findall(r'id="chart-(\w+)"><svg', page) == ["download", "cache", "in_use", "quality"]
    assert "style=" not in page
    page = served.page("plan", d="hostile", **asked, mix="hostile=0.5, texts=0.5")
    assert "stream 1" in page
    assert "2,000 shards" in served.page("plan")  # of a dataset that is not there
    for wrong in ({"nodes": "-1"}, {"cache": "much"}, {"mix": "hostile=x"}, {"mix": "../x=1"}, {"cache": "--json"}):
        assert 'role="alert"' in served.page("plan", d="hostile", **{**asked, **wrong})
    for estimate in ("9999999x1x1mb", "--help", "1x1x<script>"):
        page = served.page("plan", estimate=estimate)
        assert 'role="alert"' in page
        assert "<script>1" not in page


def test_a_plan_takes_no_longer_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    from streaming.cli.serving.planner import Planner
    from streaming.cli.serving.question import FIELDS, ask

    args = ask({field.name: field.default for field in FIELDS}, {}, None, "50000x1000x1mb")
    planner = Planner(limit_s=0.05)
    try:
        assert "takes longer than 0.05 seconds" in planner.plan(["large"], args).error
        monkeypatch.setattr(planner, "_limit_s", 100.0)
        assert planner.plan(["large"], args).rows  # what failed is tried anew, by another process
    finally:
        planner.close()


def test_the_page_of_a_file(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("yaml")
    run = {"train_loader": {"dataset": {"remote": f"{root}/texts", "local": "/none"}}, "max_duration": "3ep"}
    path = tmp_path / "run.yaml"
    path.write_text(json.dumps({**run, "compute": {"gpus": 2}, "global_train_batch_size": 4}))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with _serving("--run", str(path)) as server:
        assert "/plan?token=" in server.address
        assert "<dd>45 of 4 samples, 3 epochs</dd>" in server.page("plan")
        assert list(tmp_path.glob("streaming-serve-*"))
        server.process.terminate()
        assert server.process.wait(60) == 128 + signal.SIGTERM
        assert not list(tmp_path.glob("streaming-serve-*"))


def _report(rank: int, waited_s: float, age_s: float = -3600, **further: Any) -> Report:
    """Return a report, of an age at which no rank is silent, however long a test takes."""
    causes = {**dict.fromkeys(CAUSES, 0.0), "store": waited_s}
    workers = tuple(Worker(number, 9, 1.0 + 2 * (number == 2)) for number in range(3))
    numbers: dict[str, Any] = {
        "seconds": 10.0,
        "batches": 100,
        "samples": 400,
        "p50": 0.001,
        "p99": 0.2,
        "longest": 1.0,
        **further,
    }
    return Report(time.time() - age_s, rank, 4, causes=causes, workers=workers, **numbers)


def _rows(page: str) -> list[list[str]]:
    """Return the rows of the table of ranks, as text: rank, waited, for, samples/s, p50, p99, longest, behind, state ..."""
    table = page.partition('<table class="ranks">')[2].partition("</table>")[0]
    rows = re.findall(r"<tr.*?</tr>", table.partition("<tbody>")[2], re.DOTALL)
    return [[re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<t[dh].*?</t[dh]>", row, re.DOTALL)] for row in rows]


def test_a_run_is_followed(tmp_path: Path) -> None:
    """By what its ranks write, without scripts; whatever else lies in the folder does no harm."""
    folder = tmp_path / "<i>run</i>"
    with _serving("--reports", str(folder)) as server:
        assert "/run?token=" in server.address
        assert "no such folder yet" in server.page("run")
        for rank, waited_s in enumerate([1.0, 1.0, 8.0, 1.2]):
            ReportFile(folder).write(_report(rank, waited_s, 3600 if rank == 3 else -3600), rank < 2)
        time.sleep(1.1)  # it is not read more often
        page = server.page("run")
        assert "4 of 4 have reported, 3 run" in page
        assert "120, in 10 batches/s" in page  # of the ranks that run
        assert "33.3% of the time since it began" in page
        assert "p50 1 ms, p99 200 ms" in page
        rows = _rows(page)
        assert [row[:4] for row in rows] == [
            [str(rank), waited, f"store {waited}", "40"]
            for rank, waited in enumerate(["10.0%", "10.0%", "80.0%", "12.0%"])
        ]
        assert [row[7] for row in rows] == ["worker 2", "worker 2", "this rank, worker 2", "worker 2"]
        assert [row[8] for row in rows] == ["runs", "runs", "runs", "ended"]
        assert 'hx-trigger="every 5s"' in page
        assert "hx-trigger" not in server.page("run", still=1)
        # What came since the page was asked for first: one rank waits no longer. Beside it, what is no report.
        ReportFile(folder).write(_report(2, 8.0, seconds=20.0, samples=2400, batches=600), True)
        hostile = {"host": "<script>1</script>", "pid": [], "every": "x", "is_running": True, "line": 3, "format": 1}
        known = _report(7, 1.0, seconds=1e18, samples=10**17, p99=1e18).to_dict()
        (folder / "rank-00007.json").write_text(json.dumps({**hostile, "report": {**known, "rank": 7}}))
        ReportFile(folder).write(_report(5, 1.0, 600), True)
        wrong = {
            "rank-<script>.json": "{",
            "rank-1.json": "[" * 100_000,
            "rank-2.json": " " * (1 << 20) + "{}",
            "rank-3.json": json.dumps({"format": 1, "report": {**known, "p50": float("nan")}}),
            "rank-4.json": json.dumps({"format": 1, "report": {**known, "causes": {"store": "x"}}}),
            "rank-5.json": json.dumps({"format": 1, "report": {**known, "workers": {}}}),
            "rank-6.json": "\x00\xff",
            "rank-7.json": json.dumps([1]),
        }
        for name, text in wrong.items():
            (folder / name).write_text(text)
        os.mkfifo(folder / "rank-8.json")
        (folder / "rank-9.json").symlink_to("/etc/passwd")
        time.sleep(1.1)
        page = server.page("run")
        assert "6 of 6 have reported, 4 run, <strong>1 silent</strong>" in page
        assert "10 files left out" in page
        assert page.count("is no report of a loader") == 10
        assert "<script>" not in page.partition("<body")[2]
        assert "<i>" not in page
        assert "root:" not in page
        assert len(page) < 30_000
        rows = {row[0]: row for row in _rows(page)}
        assert rows["2"][1:4] == ["0.0%", "", "200"]
        assert (rows["5"][8], rows["7"][8]) == ("silent for 10 min", "runs")
        assert server.get("run", at="x")[0] == 400
        assert server.get("dataset", d="..")[0] == 404
        assert "<h1>The run" in server.page("")  # there are no datasets
        for rank in range(100, 1100):
            (folder / f"rank-{rank}.json").write_text(json.dumps({"format": 1, "report": {**known, "rank": rank}}))
        time.sleep(1.1)
        page = server.page("run", at=64)
        assert len(_rows(page)) == 64
        assert "64 to 128 of 1,006" in page


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("nothing", {}, 404),
        ("sample", {"d": "hostile", "n": 45}, 404),
        ("sample", {"d": "hostile", "n": "-1"}, 400),
        ("dataset", {"d": "../hostile"}, 404),
        ("dataset", {"d": "/etc"}, 404),
        ("dataset", {"d": "s3://bucket"}, 404),
        ("dataset", {"d": "missing"}, 404),
        ("static/../../catalog.py", {}, 404),
        ("order", {"d": "hostile", "size": 0}, 400),
        ("order", {"d": "hostile", "algo": "best"}, 400),
        ("column", {"d": "below/wide"}, 400),
    ],
)
def test_a_wrong_question_is_told_so(served: Served, path: str, query: dict[str, Any], status: int) -> None:
    found, _, data = served.get(path, **query)
    assert found == status
    assert b"Traceback" not in data


def test_strangers_get_no_answer(served: Served) -> None:
    stranger = build_opener()
    for address in (f"{served.base}/", f"{served.base}/?token=wrong", f"{served.base}/static/keys.js"):
        with pytest.raises(HTTPError, match="403"):
            stranger.open(address, timeout=60)
    port = served.base.rpartition(":")[2]
    for headers, status in [
        ({"Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": f"evil.example:{port}"}, 421),
    ]:
        assert served.get("dataset", headers, d="hostile")[0] == status
    request = Request(f"{served.base}/dataset", data=b"x=1", method="POST")
    with pytest.raises(HTTPError, match="405"):
        served.asks.open(request, timeout=60)
    connection = HTTPConnection("127.0.0.1", int(port), timeout=60)
    connection.request("GET", f"{served.address.removeprefix(served.base)}&d=1")
    with connection.getresponse() as moved:
        assert moved.status == 303
        assert moved.headers["location"] == "/?d=1"  # no address that a page is shown at has the token
        assert moved.headers["referrer-policy"] == "no-referrer"
        cookie = moved.headers["set-cookie"]
    connection.close()
    assert cookie.startswith(f"streaming-token-{port}=")  # another server of this machine has its own
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    with served.asks.open(f"{served.base}/", timeout=60) as answer:
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_programs_are_told_as_json(served: Served) -> None:
    assert served.told["datasets"] == ["<img src=x>", "below/wide", "hostile", "out", "texts"]
    assert "/?token=" in served.told["url"]


def test_a_token_is_needed_where_others_can_reach(root: Path) -> None:
    command = [sys.executable, "-m", "streaming", "serve", str(root), "--host", "0.0.0.0", "--no-token"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "--no-token is for this machine alone" in done.stderr


@pytest.mark.skipif(_CHROMIUM is None, reason="there is no Chromium on this machine")
def test_a_browser_shows_it_and_runs_nothing(served: Served, reports: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        for scheme, width, scripts in (("light", 1280, True), ("dark", 390, True), ("light", 1280, False)):
            context = browser.new_context(
                color_scheme=scheme, viewport={"width": width, "height": 800}, java_script_enabled=scripts
            )
            page = context.new_page()
            said: list[str] = []
            hear: Callable[[Any], None] = lambda what, said=said: said.append(getattr(what, "text", str(what)))  # noqa: E731
            page.on("console", hear)
            page.on("pageerror", hear)
            page.goto(served.address)
            assert "token" not in page.url
            page.click("text=hostile")
            page.click("nav >> text=Samples")
            page.wait_for_selector("table.samples img[alt^=image]")
            if scripts:
                paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
                assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
                assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
                page.wait_for_function("document.querySelector('table.samples img[alt^=image]').naturalWidth == 64")
                page.keyboard.press("/")
                page.keyboard.type("labl = 2")
                page.keyboard.press("Enter")
                page.wait_for_selector("[role=alert] >> text=Did you mean 'label'?")
                page.keyboard.press("/")
                page.keyboard.press("Control+a")
                page.keyboard.type("label >= 0")
                page.keyboard.press("Enter")
                page.wait_for_selector("table.samples")
                page.click("h1")
                page.keyboard.press("ArrowRight")
            else:
                page.click("text=after →")
            page.wait_for_selector("th >> text=20")
            page.click("th a >> text=20")
            page.wait_for_selector("h1 >> text=Sample 20")
            assert page.title() == "Sample 20 of hostile"
            if scripts:
                _follow(page, reports)
            # What is broken or refused is noted by the browser; nothing of a sample ran.
            assert not [text for text in said if "Failed to load resource" not in text], said
            context.close()
        browser.close()


def _follow(page: Any, reports: Path) -> None:
    """Look at a run that goes on, led there by the keyboard."""
    ReportFile(reports).write(_report(0, 1.0), True)
    page.reload()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "The run":
            break
    page.keyboard.press("Enter")
    page.wait_for_selector("h1 >> text=The run")
    page.wait_for_selector("#rank-0 >> text=10.0%")
    ReportFile(reports).write(_report(0, 5.0), True)
    page.wait_for_selector("#rank-0 >> text=50.0%", timeout=60_000)
    page.click("text=Hold it")
    page.wait_for_selector("text=Follow it")
    assert page.locator("[hx-trigger]").count() == 0
