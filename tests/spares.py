"""
What a command that was forked (`tests/warm.py`) starts of the program is a fork too: its worker, that one's forkserver,
the process that looks at functions, and the one that follows a run which was left alone; 0.5 s of CPU less for a run.
Who may start one forks a child before it does anything, a spare, which waits until it is told what to become. What is
started when no spare is left is a new process.
"""

import ctypes
import fcntl
import importlib
import inspect
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

_WORKER = "oaflow.runtime.worker"
_FOLLOWER = "oaflow.cli.detached"
_MODULES = (_WORKER, _FOLLOWER, "oaflow.runtime.forkserver")

# What the process that is forked was started with last: command lines of forks are written over its own.
ROOM = "." * 4000

_LONGEST = 1 << 20
MOST_DESCRIPTORS = 16
_PR_SET_PDEATHSIG = 1

Become = Callable[[str, dict[str, str], Callable[[], Any]], None]


def keep(become: Become, count: int = 1) -> None:
    """
    Forks spares, and has `subprocess` use them.

    Args:
        become: runs a function in a folder and with an environment as a new process would, and ends this one.
    """
    spares = [_forked(become) for _ in range(count)]
    owner = os.getpid()
    starts = subprocess.Popen._execute_child
    names = tuple(inspect.signature(starts).parameters)

    def execute(self: Any, *values: Any) -> None:
        told = dict(zip(names[1:], values, strict=True))
        if not spares or os.getpid() != owner or not _is_of_the_program(told):
            starts(self, *values)
            return
        self.pid, link = spares.pop()
        self._child_created = True
        environment = dict(os.environ if told["env"] is None else told["env"])
        asked = [told["args"][2:], os.getcwd(), environment, told["pass_fds"], told["preexec_fn"] is not None]
        streams = [told[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        with link:
            socket.send_fds(link, [json.dumps(asked).encode()], [*streams, *told["pass_fds"]])
            link.recv(1)
        self._close_pipe_fds(*(told[name] for name in names if name[:3] in ("p2c", "c2p", "err")))

    subprocess.Popen._execute_child = execute


def called(*command: str) -> None:
    """
    Has this process listed under its own command line, which tests look for.
    """
    numbers = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(numbers[45]), int(numbers[46])
    words = "\0".join(command).encode(errors="surrogateescape")[: end - start - 1]
    ctypes.memmove(start, words.ljust(end - start, b"\0"), end - start)


def _is_of_the_program(told: dict[str, Any]) -> bool:
    python, *flags, what = told["args"][:4]
    ours = flags == ["-P", "-c"] or (flags == ["-P", "-m"] and what in _MODULES)
    return python == sys.executable and ours and told["start_new_session"]


def _forked(become: Become) -> tuple[int, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        _wait(theirs, become)
    theirs.close()
    return pid, ours


def _wait(link: socket.socket, become: Become) -> None:
    told, given, _, _ = socket.recv_fds(link, _LONGEST, MOST_DESCRIPTORS)
    if not told:
        os._exit(0)  # nobody needed it
    (flag, *command), folder, environment, numbers, ends_with_parent = json.loads(told)
    os.setsid()
    if ends_with_parent:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # as its supervisor says it
    link.send(b"!")
    link.detach()
    place(given, numbers)
    if command[0] == _WORKER:
        keep(become)
    elif command[0] == _FOLLOWER:
        keep(become, 2 * int(command[2]))  # its workers, and those that come after some that are killed
    called(sys.executable, "-P", flag, *command)
    become(folder, environment, lambda: run(flag, *command))


def place(given: Sequence[int], numbers: Sequence[int]) -> None:
    """
    Gives what was handed over its numbers, the three streams first, and closes all else.
    """
    free = max(*map(int, os.listdir("/proc/self/fd")), *numbers, 2) + 1
    kept = [fcntl.fcntl(fd, fcntl.F_DUPFD, free) for fd in given]
    os.closerange(3, free)
    for fd, number in zip(kept, (0, 1, 2, *numbers), strict=True):
        os.dup2(fd, number)
        os.close(fd)


def run(flag: str, what: str, *arguments: str) -> Any:
    sys.argv = [flag, *arguments]
    if flag == "-m":
        main = importlib.import_module(what).main
        return main(arguments[0], *map(int, arguments[1:])) if what == _FOLLOWER else main(arguments)
    return exec(what, {"__name__": "__main__"})
