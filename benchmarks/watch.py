"""
What a tree of processes uses, sampled from outside.
"""

import contextlib
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from types import TracebackType

import psutil

EVERY = 0.25  # seconds; of a process that ends, what it used since the last look is lost

ROLES = ("supervisor", "worker", "forkserver", "executor")


@dataclass
class Watch:
    """
    Watches `oaflow run` or `oaflow worker` for the time of a block.

    Attributes:
        resident: for each role, (seconds since the beginning, bytes of the largest process of that role).
        used: CPU seconds of each process.
    """

    root: psutil.Process
    resident: dict[str, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))
    used: dict[tuple[str, int], float] = field(default_factory=dict[tuple[str, int], float])
    most: dict[str, int] = field(default_factory=dict[str, int])

    def __post_init__(self) -> None:
        self._began = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    @property
    def processor(self) -> float:
        """
        CPU seconds of all processes of the tree.
        """
        return sum(self.used.values())

    def _look(self) -> None:
        while not self._over.wait(EVERY):
            now = time.monotonic() - self._began
            largest: dict[str, int] = {}
            for role, process in roles(self.root):
                with contextlib.suppress(psutil.Error), process.oneshot():
                    times = process.cpu_times()
                    self.used[role, process.pid] = times.user + times.system
                    largest[role] = max(largest.get(role, 0), process.memory_info().rss)
            for role, size in largest.items():
                self.resident[role].append((now, size))
                self.most[role] = max(self.most.get(role, 0), size)


def roles(root: psutil.Process) -> list[tuple[str, psutil.Process]]:
    """
    The processes of a tree, each with what it is: a worker is a child of the supervisor, and so on down.
    """
    found: list[tuple[str, psutil.Process]] = []
    with contextlib.suppress(psutil.Error):
        found.append(("supervisor", root))
        for worker in root.children():
            if "oaflow.postgres" in " ".join(worker.cmdline()):
                continue  # it watches the server
            found.append(("worker", worker))
            for server in worker.children():
                found.append(("forkserver", server))
                found += [("executor", executor) for executor in server.children()]
    return found


def processor_time(process: psutil.Process) -> float:
    """
    CPU seconds of a server: its own, those of its children that ended, and of those that live.
    """
    times = process.cpu_times()
    total = times.user + times.system + times.children_user + times.children_system
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            own = child.cpu_times()
            total += own.user + own.system
    return total


def quarters(samples: list[tuple[float, int]]) -> tuple[float, float]:
    """
    The mean of the second quarter and of the last. The first is left out: a process that has just started has not
    loaded what it needs.
    """
    sizes = [size for _, size in samples]
    part = max(1, len(sizes) // 4)
    second, last = sizes[part : 2 * part] or sizes, sizes[-part:]
    return sum(second) / len(second), sum(last) / len(last)
