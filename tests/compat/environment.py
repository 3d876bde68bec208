"""
The environments of tests/compat: the real packages that oaflow must agree with. `python tests/compat/environment.py`.

Two, because what they need does not go together: `oap` (openaleph-procrastinate, ftmq) and `store`
(followthemoney-store). Each is kept under `.venv-compat/`, in a folder named by the hash of its lock file and of the
Python that made it, so that it is made again exactly when one of these changed. A lock is made with

    uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
        --override tests/compat/overrides.txt tests/compat/NAME.in -o tests/compat/NAME.txt
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NAMES = ("oap", "store")
CACHE = Path(os.environ.get("OAFLOW_COMPAT_CACHE") or HERE.parent.parent / ".venv-compat")


def folder(name: str) -> Path:
    """
    Where an environment is, or would be.
    """
    key = HERE.joinpath(f"{name}.txt").read_bytes() + sys.version.encode()
    return CACHE / f"{name}-{hashlib.sha256(key).hexdigest()[:16]}"


def python(name: str) -> Path | None:
    """
    The interpreter of an environment, or None where it was not made.
    """
    found = folder(name) / "bin" / "python"
    return found if (folder(name) / "complete").exists() and found.exists() else None


def make(name: str) -> Path:
    """
    Make an environment where it is not there, and remove those of its older locks.
    """
    target = folder(name)
    if python(name) is None:
        shutil.rmtree(target, ignore_errors=True)
        locked = Path(sys.executable).parent / "uv"
        uv = str(locked) if locked.exists() else shutil.which("uv") or "uv"
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(target)], check=True)
        install = [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", str(target / "bin" / "python")]
        subprocess.run([*install, str(HERE / f"{name}.txt")], check=True)
        (target / "complete").touch()
    for other in CACHE.glob(f"{name}-*"):
        if other != target and (other / "pyvenv.cfg").exists():
            shutil.rmtree(other, ignore_errors=True)
    return target


if __name__ == "__main__":
    for name in NAMES:
        print(make(name))
