"""
Environments of programs that cannot share one with oaflow, each made from a lock file.

Each is in a folder named by the hash of its lock, and of the Python where one made it, so that it is made again exactly
when one of these changed.
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


@dataclass(frozen=True)
class Modules:
    """
    Programs of Node, each with a `package-lock.json` in a folder of its name.

    Attributes:
        locks: folder of these folders.
        cache: folder in which what is installed is.
    """

    locks: Path
    cache: Path

    def folder(self, name: str) -> Path:
        """
        Where the programs of a lock are, or would be.
        """
        key = (self.locks / name / "package-lock.json").read_bytes()
        return self.cache / f"{name}-{hashlib.sha256(key).hexdigest()[:16]}"

    def program(self, name: str, command: str) -> Path | None:
        """
        A program, or None where it was not installed.
        """
        found = self.folder(name) / "node_modules" / ".bin" / command
        return found if found.exists() and (self.folder(name) / "complete").exists() else None

    def make(self, name: str) -> Path | None:
        """
        Install the programs of a lock where they are not there, and remove those of its older locks.

        Returns:
            their folder; None where there is no npm.
        """
        target = self.folder(name)
        if not (target / "complete").exists():
            npm = shutil.which("npm")
            if npm is None:
                return None
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            for file in ("package.json", "package-lock.json"):
                shutil.copy(self.locks / name / file, target)
            # What is installed runs nothing of its own meanwhile.
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            subprocess.run(command, cwd=target, check=True, stdout=subprocess.DEVNULL)
            (target / "complete").touch()
        for other in self.cache.glob(f"{name}-*"):
            if other != target and (other / "package-lock.json").exists():
                shutil.rmtree(other, ignore_errors=True)
        return target
