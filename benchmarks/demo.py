"""
From `git clone` to the first search result, as somebody sees it who types `make demo`.

Three passages: with no package cached, with all cached (a new clone), and again where the environment is made. The
caches of uv and pip are folders of this benchmark's own; the package index is the one that this machine is set up for.
"""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.ground import ROOT
from benchmarks.harness import Figure, Report, Size, Target

# The line before the first results; see scripts/demo.
_SEARCH = "oaflow search"


def measure(size: Size, rounds: int) -> Report:
    """
    One passage of each, whatever the size; what is committed is what is cloned.
    """
    folder = Path(tempfile.mkdtemp(prefix="oaflow-demo-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        uncached = _from_clone(folder, "first")
        cached = _from_clone(folder, "second")
        again, whole = _demo(folder, folder / "second", time.perf_counter())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Report(
        "demo",
        "git clone and make demo",
        (
            Figure("clone to first search result, no package cached", "s", (uncached,), Target("at most", 180.0)),
            Figure("clone to first search result, packages cached", "s", (cached,), Target("at most", 60.0)),
            Figure("make demo, environment made: all of it", "s", (whole,), Target("at most", 20.0)),
            Figure("make demo, environment made: first search result", "s", (again,)),
        ),
    )


def _from_clone(folder: Path, name: str) -> float:
    began = time.perf_counter()
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder / name)], check=True)
    found, _ = _demo(folder, folder / name, began)
    return found


def _demo(folder: Path, clone: Path, began: float) -> tuple[float, float]:
    """
    Seconds from `began` to the first result of a search, and to the end.
    """
    gone = ("OAFLOW_", "VIRTUAL_ENV", "PYTHONPATH")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(gone)}
    caches = {"UV_CACHE_DIR": str(folder / "uv"), "PIP_CACHE_DIR": str(folder / "pip"), "NO_COLOR": "1"}
    process = subprocess.Popen(
        ["make", "demo"],
        cwd=clone,
        env=environment | caches,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    found, searching, lines = 0.0, False, list[str]()
    for line in process.stdout:
        lines.append(line)
        if _SEARCH in line:
            searching = True
        elif searching and line.strip() and not found:
            found = time.perf_counter() - began
    if process.wait() != 0 or not found:
        raise RuntimeError(f"make demo ended with exit code {process.returncode}: {''.join(lines[-15:])}")
    return found, time.perf_counter() - began
