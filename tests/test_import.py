"""``import streaming`` is light, and its names resolve on first use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import streaming

from programs import run_code


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def test_import_brings_no_heavy_module() -> None:
    heavy = ["torch", "numpy", "obstore", "PIL", "boto3", "google", "azure", "transformers", "asyncssh", "fsspec"]
    code = f"import sys, streaming; print([m for m in {heavy!r} if m in sys.modules])"
    assert run(code).strip() == "[]"


def test_writing_needs_no_torch() -> None:
    code = "import sys; from streaming import MDSWriter; print('torch' in sys.modules)"
    assert run(code).strip() == "False"


def test_training_needs_no_plans() -> None:
    code = "import sys, streaming; streaming.StreamingDataLoader; print('streaming.planning' in sys.modules)"
    assert run_code(code)[:2] == (0, "False\n")


@pytest.mark.parametrize("name", streaming.__all__)
def test_every_public_name_resolves(name: str) -> None:
    value = getattr(streaming, name)
    assert value.__name__.removeprefix("streaming.") == name


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = streaming.no_such_name


def test_version_is_the_distributions() -> None:
    from importlib.metadata import version

    assert version("streaming-dataset") == streaming.__version__


def test_windows_is_told_in_one_sentence() -> None:
    code = "import sys; sys.platform = 'win32'; import streaming"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "ImportError: streaming does not support Windows, as it maps and locks files the POSIX way: "
        "use Linux, macOS or WSL 2."
    )


@pytest.mark.parametrize("name", ["mosaicml_streaming", "streaming_community", "neprr_streaming"])
def test_a_package_of_the_same_import_name_is_warned_of(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "site-packages"
    (folder / f"{name}-0.13.0.dist-info").mkdir(parents=True)
    record = folder / f"{name}-0.13.0.dist-info" / "RECORD"
    code = f"import sys; sys.path.append({str(folder)!r}); import streaming"
    for holds, said in (
        ("README.md", ""),
        ("streaming/__init__.py", f"{name.replace('_', '-')} 0.13.0 is installed too"),
    ):
        record.write_text(f"{holds},sha256=0,0\n")
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
        assert said in done.stderr
        assert bool(said) == bool(done.stderr), done.stderr


def test_the_program_where_another_was_installed_over_this(tmp_path: Path) -> None:
    """What is imported is the other one, which may not even be importable."""
    folder = tmp_path / "site-packages"
    (folder / "mosaicml_streaming-0.13.0.dist-info").mkdir(parents=True)
    (folder / "mosaicml_streaming-0.13.0.dist-info" / "RECORD").write_text("streaming/__init__.py,sha256=0,0\n")
    (folder / "streaming").mkdir()
    (folder / "streaming" / "__init__.py").write_text("import no_such_module\n")
    code = (
        f"import sys; sys.path.insert(0, {str(folder)!r}); import streaming_dataset; sys.exit(streaming_dataset.main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "doctor"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "streaming: mosaicml-streaming writes into the same folder `streaming` as streaming-dataset. Run: pip uninstall -y "
        "mosaicml-streaming streaming-dataset && pip install streaming-dataset",
        "What failed: ModuleNotFoundError: No module named 'no_such_module'",
    ]
