"""
Environments of programs that cannot share one with oaflow, each made from a lock file.

Each is in a folder named by the hash of its lock and of the Python that made it, so that it is made again exactly when
one of these changed.
"""

import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Environments:
    """
    Those whose locks lie in one folder.

    Attributes:
        locks: folder of the lock files, `NAME.txt`.
        cache: folder in which the environments are.
    """

    locks: Path
    cache: Path

    def folder(self, name: str) -> Path:
        """
        Where an environment is, or would be.
        """
        key = (self.locks / f"{name}.txt").read_bytes() + sys.version.encode()
        return self.cache / f"{name}-{hashlib.sha256(key).hexdigest()[:16]}"

    def python(self, name: str) -> Path | None:
        """
        The interpreter of an environment, or None where it was not made.
        """
        found = self.folder(name) / "bin" / "python"
        return found if (self.folder(name) / "complete").exists() and found.exists() else None

    def make(self, name: str) -> Path:
        """
        Make an environment where it is not there, and remove those of its older locks.
        """
        target = self.folder(name)
        if self.python(name) is None:
            shutil.rmtree(target, ignore_errors=True)
            locked = Path(sys.executable).parent / "uv"
            uv = str(locked) if locked.exists() else shutil.which("uv") or "uv"
            subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(target)], check=True)
            install = [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", str(target / "bin" / "python")]
            subprocess.run([*install, str(self.locks / f"{name}.txt")], check=True)
            (target / "complete").touch()
        for other in self.cache.glob(f"{name}-*"):
            if other != target and (other / "pyvenv.cfg").exists():
                shutil.rmtree(other, ignore_errors=True)
        return target
