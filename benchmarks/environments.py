"""The environment of each system: a virtual environment of its own under out/, or a Python that the user names.

A Python that already has the system is taken from the environment variable in `RECIPES`; otherwise the environment is
made once and kept. A system that cannot be installed is left out, and the reason is printed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = HERE / "out"
CONSTRAINTS = HERE.parent / "constraints.txt"
STUBS = HERE / "stubs"
INSTALL_TIMEOUT_S = 900


@dataclass(frozen=True)
class Recipe:
    """How a system is installed.

    Args:
        variable: Environment variable that names a Python which has the system already.
        light: Requirements that pip resolves.
        bare: Requirements installed without their dependencies, which would replace torch or NumPy.
        probe: Statement that fails where the system is not usable.
    """

    variable: str
    light: tuple[str, ...]
    bare: tuple[str, ...]
    probe: str


_LIGHT = (
    "numpy<2.2", "boto3", "Brotli", "python-snappy", "zstd", "xxhash", "tqdm", "filelock", "catalogue", "pillow",
    "paramiko", "requests", "transformers", "google-cloud-storage", "azure-storage-blob",
    "azure-storage-file-datalake", "azure-identity", "oci",
)  # fmt: skip
_PROBE = "from streaming import StreamingDataset, MDSWriter, StreamingDataLoader"

RECIPES = {
    "original": Recipe(
        variable="STREAMING_ORIGINAL_PYTHON",
        light=_LIGHT,
        bare=("mosaicml-streaming==0.13.0",),
        probe=_PROBE,
    ),
    "community": Recipe("COMMUNITY_PYTHON", (*_LIGHT, "matplotlib"), ("streaming-community",), _PROBE),
    "neprr": Recipe("NEPRR_PYTHON", (*_LIGHT, "pyarrow"), ("neprr-streaming",), _PROBE),
    "litdata": Recipe(
        variable="LITDATA_PYTHON",
        light=("numpy", "filelock", "boto3", "requests", "tifffile", "obstore", "pillow", "zstd", "lightning-utilities",
            "polars", "pyarrow",
        ),
        bare=("litdata>=0.2.50",),
        probe="from litdata import StreamingDataset, StreamingDataLoader, optimize",
    ),
    "webdataset": Recipe(
        variable="WEBDATASET_PYTHON",
        light=("numpy", "pyyaml", "braceexpand", "pillow"),
        bare=("webdataset>=0.2.100",),
        probe="import webdataset",
    ),
    "hf": Recipe(
        variable="HF_DATASETS_PYTHON",
        light=("numpy", "pillow", "datasets>=3"),
        bare=(),
        probe="import datasets",
    ),
    "grain": Recipe(
        variable="GRAIN_PYTHON",
        light=("numpy", "grain>=0.2.18"),
        bare=(),
        probe="from grain.experimental import BestFitPackIterDataset",
    ),
}  # fmt: skip


def environ(system: str) -> dict[str, str]:
    """Return the environment variables of a system's process."""
    result = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    path = []
    if system == "ours":
        path.append(str(HERE.parent / "src"))
    elif system in ("original", "community", "neprr"):
        path.append(str(STUBS))  # it imports torchvision at once, and uses nothing of it here
    result["PYTHONPATH"] = os.pathsep.join(path)
    result.update(TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1", HF_DATASETS_DISABLE_PROGRESS_BARS="1")
    result.update(PYTHONWARNINGS="ignore", OMP_NUM_THREADS="1", HF_HOME=str(OUT / "hf-home"))
    # Credentials of the user are of no use to the loopback server, and none of its business.
    result.update(AWS_ACCESS_KEY_ID="none", AWS_SECRET_ACCESS_KEY="none", AWS_REGION="us-east-1")
    result.update(AWS_DEFAULT_REGION="us-east-1", AWS_EC2_METADATA_DISABLED="true")
    result.update(AWS_ALLOW_HTTP="true")
    # pip compiles what it installs; what is read from a checkout is compiled in the first run, where that is allowed.
    result.pop("PYTHONDONTWRITEBYTECODE", None)
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        result.pop(proxy, None)
    return result


def works(python: str, system: str) -> str | None:
    """Return why a Python cannot run a system, or None if it can."""
    try:
        done = subprocess.run(
            [python, "-c", RECIPES[system].probe],
            capture_output=True, text=True, timeout=300, env=environ(system), check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{type(error).__name__}: {error}"
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it does not start"])[-1]


def install(system: str) -> str:
    """Make the environment of a system and return its Python; raise RuntimeError with pip's last words."""
    recipe, folder = RECIPES[system], OUT / "environments" / system
    python = folder / "bin" / "python"
    if (folder / ".ready").exists():
        return str(python)
    shutil.rmtree(folder, ignore_errors=True)
    print(f"{system}: installing into {folder} (once)", flush=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    steps = [
        [sys.executable, "-m", "venv", str(folder)],
        # torch by itself first, with the versions of the demo: the other steps then find it satisfied.
        [*pip, "-c", str(CONSTRAINTS), "torch"],
        [*pip, "-c", str(CONSTRAINTS), *recipe.light],
        *([[*pip, "--no-deps", *recipe.bare]] if recipe.bare else []),
    ]
    for step in steps:
        try:
            done = subprocess.run(step, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"`{' '.join(step[-3:])}` took longer than {INSTALL_TIMEOUT_S} s") from None
        if done.returncode:
            words = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
            raise RuntimeError(words[-1])
    (folder / ".ready").touch()
    return str(python)


def find(system: str) -> tuple[str | None, str]:
    """Return the Python of a system, or None and why there is none."""
    if system in ("ours", "limit"):
        return sys.executable, ""
    named = os.environ.get(RECIPES[system].variable)
    try:
        python = named or install(system)
    except RuntimeError as error:
        return None, f"it could not be installed: {error}"
    problem = works(python, system)
    if problem:
        return None, f"{python} cannot run it: {problem}"
    return python, ""


if __name__ == "__main__":
    for name in sys.argv[1:] or RECIPES:
        print(name, *find(name), flush=True)
