"""
What `oaflow worker` answers to those who look after it: over HTTP, and to a service manager that waits for its word.
"""

import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tests.acceptance.conftest import PATIENCE, Command
from tests.acceptance.test_processes import chain, ended, noted, worker_of
from tests.chaos.proxy import Proxy

Started = Callable[[subprocess.Popen[str]], subprocess.Popen[str]]
Until = Callable[[Callable[[], Any]], Any]


def test_a_worker_says_whether_it_is_live_and_ready(
    cli: Command, database: str, started: Started, until: Until
) -> None:
    """
    One worker through all that may happen to it: its database is away, comes, its process is stopped and goes on, the
    database is away again, and a signal drains it.
    """
    told: list[str] = []  # the names of what the service manager hears

    def listen() -> None:
        with suppress(OSError):  # closed at the end
            while message := manager.recv(4096):
                told.extend(line.partition("=")[0] for line in message.decode().splitlines())

    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(cli.folder / "notify"))
    manager.settimeout(PATIENCE)
    threading.Thread(target=listen, daemon=True).start()
    name = chain(cli, "begins", 1, {"log": str(cli.folder / "noted"), "seconds": 3.0})
    with Proxy(database) as proxy, manager:
        proxy.leave()
        cli.environment |= {"OAFLOW_HEARTBEAT": "0.5", "OAFLOW_DEAD_AFTER": "1.5", "OAFLOW_EXECUTORS": "1"}
        there = {"OAFLOW_DB_URI": proxy.address, "NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "500000"}
        straight, cli.environment = cli.environment, cli.environment | there
        worker = started(cli.start("worker", "--health", "0"))
        cli.environment = straight
        assert worker.stderr is not None
        url = worker.stderr.readline().split()[1].removesuffix("/live")

        assert get(f"{url}/live") == (200, "live\n")
        assert get(f"{url}/ready") == (503, "not ready: the database does not answer yet\n")
        assert until(lambda: "EXTEND_TIMEOUT_USEC" in told)
        assert "READY" not in told

        proxy.away = False
        until(lambda: get(f"{url}/ready") == (200, "ready\n"))
        as_json = '{"ready": true, "reasons": []}\n'
        until(lambda: get(f"{url}/ready", "application/json") == (200, as_json))
        assert get(f"{url}/")[0] == 404
        assert until(lambda: told.count("WATCHDOG") > 2)
        assert told.count("READY") == 1

        process = worker_of(worker.pid)
        assert process is not None
        os.kill(process, signal.SIGSTOP)
        silent = f"worker process {process} says nothing for"
        until(lambda: f"not ready: {silent}" in get(f"{url}/ready")[1])
        until(lambda: f"not live: {silent}" in get(f"{url}/live")[1])
        until(lambda: is_silent(told))
        os.kill(process, signal.SIGCONT)
        until(lambda: get(f"{url}/ready") == (200, "ready\n"))

        proxy.leave()
        until(lambda: f"the database does not answer worker process {process}" in get(f"{url}/ready")[1])
        until(lambda: get(f"{url}/live") == (200, "live\n"))
        proxy.away = False
        until(lambda: get(f"{url}/ready") == (200, "ready\n"))

        running = started(cli.start("run", name, "-d", "demo", "--workers", "0", "--json"))
        until(lambda: noted(cli))
        worker.send_signal(signal.SIGTERM)
        until(lambda: get(f"{url}/ready") == (503, "not ready: it drains: nothing more is claimed\n"))
        assert get(f"{url}/live")[0] == 200
        assert ended(worker).code == 0
        until(lambda: told.count("STOPPING") == 1)
        cli.environment["OAFLOW_EXECUTORS"] = "1"
        rest = started(cli.start("worker"))
        assert ended(running).code == 0
        rest.send_signal(signal.SIGTERM)
        rest.communicate(timeout=PATIENCE)


def test_where_it_cannot_be_asked_is_said_before_anything_starts(cli: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        busy = cli("worker", "--health", str(port))
    assert (busy.code, busy.error) == (
        3,
        f"--health: port {port} of 127.0.0.1 cannot be used: Address already in use",
    )


def is_silent(told: list[str]) -> bool:
    """
    Whether nobody says for a second that all is well, which is said four times a second.
    """
    told.clear()  # what was said before may be heard late
    time.sleep(1)
    return "WATCHDOG" not in told


def get(url: str, accept: str = "*/*") -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept}), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read().decode()
