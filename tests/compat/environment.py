"""
The environment of tests/compat: the real packages that oaflow must agree with. `python tests/compat/environment.py`.

It is kept under `.venv-compat/`, in a folder named by the hash of its lock file and of the Python that made it, so that
it is made again exactly when one of these changed.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
LOCK = HERE / "requirements.txt"
CACHE = Path(os.environ.get("OAFLOW_COMPAT_CACHE") or HERE.parent.parent / ".venv-compat")


def folder() -> Path:
    """
    Where the environment is, or would be.
    """
    key = LOCK.read_bytes() + sys.version.encode()
    return CACHE / hashlib.sha256(key).hexdigest()[:16]


def python() -> Path | None:
    """
    The environment's interpreter, or None where the environment was not made.
    """
    found = folder() / "bin" / "python"
    return found if (folder() / "complete").exists() and found.exists() else None


def make() -> Path:
    """
    Make the environment where it is not there, and remove those of older locks.
    """
    target = folder()
    if python() is None:
        shutil.rmtree(target, ignore_errors=True)
        uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(target)], check=True)
        install = [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", str(target / "bin" / "python")]
        subprocess.run([*install, str(LOCK)], check=True)
        (target / "complete").touch()
    for other in CACHE.iterdir():
        if other != target and (other / "complete").exists() and (other / "pyvenv.cfg").exists():
            shutil.rmtree(other, ignore_errors=True)
    return target


if __name__ == "__main__":
    print(make())
