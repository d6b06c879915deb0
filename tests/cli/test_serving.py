"""``streaming serve``: asked by HTTP and by a browser, with samples that mean harm."""

from __future__ import annotations

import io
import json
import re
import shutil
import signal
import subprocess
import sys
import wave
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener

import numpy as np
import pytest

import streaming

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
def served(root: Path) -> Iterator[Served]:
    with _serving(str(root)) as server:
        yield server


def test_the_datasets_below_a_place(served: Served) -> None:
    assert re.findall(r"dataset\?d=([^\"]+)", served.page("")) == ["below%2Fwide", "hostile", "texts"]
    page = served.page("dataset", d="hostile")
    assert "ndarray:uint16" in page
    assert "kept closed" in page
    assert "shard.00003.mds" in page
    assert "2,000 columns" in served.page("dataset", d="below/wide")
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

    args = ask({field.name: field.default for field in FIELDS}, {}, None, "200000x1000x1mb")
    planner = Planner(limit_s=0.05)
    try:
        assert "takes longer than 0.05 seconds" in planner.plan(["large"], args).error
        monkeypatch.setattr(planner, "_limit_s", 100.0)
        assert planner.plan(["large"], args).rows  # what failed is tried anew, by another process
    finally:
        planner.close()


def test_the_page_of_a_file(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    run = {"train_loader": {"dataset": {"remote": f"{root}/texts", "local": "/none"}}, "max_duration": "3ep"}
    path = tmp_path / "run.yaml"
    path.write_text(json.dumps({**run, "compute": {"gpus": 2}, "global_train_batch_size": 4}))
    with _serving("--run", str(path)) as server:
        assert "/plan?token=" in server.address
        assert "<dd>45 of 4 samples, 3 epochs</dd>" in server.page("plan")


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
    with served.asks.open(f"{served.base}/", timeout=60) as answer:
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_programs_are_told_as_json(root: Path) -> None:
    command = [sys.executable, "-m", "streaming", "serve", str(root), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = ""
        while not said.endswith("\n}\n"):
            said += process.stdout.readline() or pytest.fail(said)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    told = json.loads(said)
    assert told["datasets"] == ["below/wide", "hostile", "texts"]
    assert "/?token=" in told["url"]


def test_a_token_is_needed_where_others_can_reach(root: Path) -> None:
    command = [sys.executable, "-m", "streaming", "serve", str(root), "--host", "0.0.0.0", "--no-token"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "--no-token is for this machine alone" in done.stderr


@pytest.mark.skipif(_CHROMIUM is None, reason="there is no Chromium on this machine")
def test_a_browser_shows_it_and_runs_nothing(served: Served) -> None:
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
                page.keyboard.press("ArrowRight")
            else:
                page.click("text=after →")
            page.wait_for_selector("th >> text=20")
            page.click("th a >> text=20")
            page.wait_for_selector("h1 >> text=Sample 20")
            assert page.title() == "Sample 20 of hostile"
            # What is broken or refused is noted by the browser; nothing of a sample ran.
            assert not [text for text in said if "Failed to load resource" not in text], said
            context.close()
        browser.close()
