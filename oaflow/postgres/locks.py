"""
Who uses the private server, and who may start or stop it. Locks of the kernel: a killed process holds none.

Two files, because one lock cannot say both. `gate` is held, alone, while somebody enters or leaves, and so around
every start and stop. `users` is held, together, as long as somebody uses the server. Whoever holds the gate and
could have `users` alone knows that nobody uses the server, and that nobody can begin to.
"""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from oaflow.postgres.problems import ServerProblem


@contextmanager
def gate(root: Path) -> Generator[None]:
    """
    Waits until nobody else starts or stops the server, and lets nobody else as long as it is open.
    """
    descriptor = _open(root / "gate.lock")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def use(root: Path) -> int:
    """
    Says that this process uses the server. Only inside the gate, where nobody can hold this lock alone.

    Returns:
        The descriptor that holds it; closing it says that the use is over.
    """
    descriptor = _open(root / "users.lock")
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def unused(root: Path) -> bool:
    """
    Whether nobody uses the server. Only inside the gate, and after one's own use is over.
    """
    return _take(root / "users.lock", keep=False) is not None


def watch(root: Path) -> int | None:
    """
    Takes the part of the one who looks after the server when its users are killed.

    Returns:
        The descriptor that holds the part, to be inherited by the process that plays it, or None where it is taken.
    """
    return _take(root / "watch.lock", keep=True)


def _take(path: Path, *, keep: bool) -> int | None:
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    if not keep:
        os.close(descriptor)
    return descriptor


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ServerProblem(f"{path} cannot be opened: {error.strerror}") from error
