"""
The ends of runs, told to a real server that refuses, hangs, sends elsewhere and comes back; by senders that are killed.
"""

import base64
import hmac
import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.acceptance.conftest import PATIENCE, Command
from tests.acceptance.test_processes import query

KEY = b"canary-canary-canary-canary-canary"
SECRET = "whsec_" + base64.b64encode(KEY).decode()

REDIRECTED = "here: answered 307, a redirect, which is not followed; 1 notifications wait, 0 were given up"

Started = Callable[[subprocess.Popen[str]], subprocess.Popen[str]]
Until = Callable[[Callable[[], Any]], Any]


class Receiver(ThreadingHTTPServer):
    """
    Notes what comes, and answers as it was told to: a status, or `None` for nothing at all.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer: int | None = 204
        self.answers: list[int] = []  # to the first ones
        self.elsewhere = ""
        self.came: list[tuple[Mapping[str, str], bytes]] = []
        self.over = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        # As a receiver does, by hand: no function of the program takes part.
        content = b".".join((headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body))
        signature = base64.b64encode(hmac.digest(KEY, content, "sha256")).decode()
        assert headers["webhook-signature"] == f"v1,{signature}"
        self.server.came.append((headers, body))
        answer = self.server.answers.pop(0) if self.server.answers else self.server.answer
        if answer is None:
            self.server.over.wait()
            return
        self.send_response(answer)
        if self.server.elsewhere:
            self.send_header("location", self.server.elsewhere)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """
        Nothing.
        """


@contextmanager
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.over.set()
        server.shutdown()


def test_the_end_of_each_run_is_told_whatever_happens(cli: Command, started: Started, until: Until) -> None:
    name = cli.pipeline("told", {"source": {"with": {"count": 3}, "next": "end"}, "end": {}})
    cli.environment["OAFLOW_EXECUTORS"] = "1"
    run = ("run", name, "-d", "demo", "--workers", "0", "--json", "--force")
    with receiver() as there, receiver() as trap:
        added = cli("webhook", "add", f"{there.url}/hook?token=canary-token", "--name", "here")
        assert added.code == 0
        assert "export OAFLOW_WEBHOOK_SECRET=whsec_" in added.err
        assert cli("webhook", "test", "here").error.startswith("OAFLOW_WEBHOOK_SECRET is not set")
        cli.environment["OAFLOW_WEBHOOK_SECRET"] = SECRET
        worker = started(cli.start("worker"))

        there.answers = [500]
        cli.environment.pop("OAFLOW_WEBHOOK_SECRET")  # who follows the run tells nothing: that is the workers' part
        assert cli(*run).code == 0
        until(lambda: there.came)
        # Asked of the database, as a command may take longer than the five seconds until the second attempt.
        until(lambda: query(cli, "SELECT problem FROM oaflow.webhooks") == [("answered 500",)])
        until(lambda: listed(cli)["waiting"] == 0)  # by itself
        (headers, body), (again, same) = there.came
        assert headers["webhook-id"] == again["webhook-id"]
        assert body == same
        told = json.loads(body)
        assert told["type"] == "run.finished"
        assert told["data"]["dataset"] == "demo"
        assert told["data"]["jobs"] == {"done": 4, "failed": 0, "diverted": 0, "vanished": 0}

        there.came.clear()
        there.answer = None  # it hangs, and its sender is killed meanwhile
        assert cli(*run).code == 0
        until(lambda: there.came)
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        query(cli, "UPDATE oaflow.deliveries SET next_at = now() RETURNING id")  # or a minute later
        there.answer, there.elsewhere = 307, trap.url
        cli.environment["OAFLOW_WEBHOOK_SECRET"] = SECRET
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        second = started(cli.start("worker", "--health", str(port)))
        refused = until(lambda: "redirect" in (listed(cli)["problem"] or "") and listed(cli))
        assert refused["url"] == f"{there.url}/..."
        found = [json.loads(line) for line in cli("doctor", "--json").out.splitlines()]
        (webhook, health) = (next(one for one in found if one["what"] == what) for what in ("webhook", "health"))
        assert webhook["level"] == "problem"
        assert webhook["text"] == REDIRECTED
        assert webhook["help"] == "oaflow webhook test here"
        assert health["text"] == f"http://127.0.0.1:{port}/ready reports that it is ready"
        assert not trap.came
        assert {headers["webhook-id"] for headers, _ in there.came} == {there.came[0][0]["webhook-id"]}
        assert len(there.came) >= 2

        there.answer, there.elsewhere = 200, ""
        tried = cli("webhook", "test", "here", "--json")
        assert tried.json == {"webhook": "here", "problem": None, "again": 1}
        until(lambda: listed(cli)["waiting"] == 0)
        assert [json.loads(body)["type"] for _, body in there.came][-2:] == ["test", "run.finished"]
        second.send_signal(signal.SIGTERM)
        _, err = second.communicate()
        assert "webhook here could not be notified of told-" in err
        assert cli("webhook", "remove", "here").code == 0
        assert cli("webhook", "remove", "here").error == "there is no webhook 'here'"

    # The secret is nowhere, and what may be one in an address stands in its table only.
    written = err + "".join(path.read_text(errors="replace") for path in logs(cli.folder / "home"))
    assert "canary" not in written.lower()
    assert KEY.decode() not in written
    assert SECRET.removeprefix("whsec_") not in written
    dump = "".join(
        str(query(cli, f"SELECT * FROM oaflow.{table}"))
        for (table,) in query(cli, "SELECT tablename FROM pg_tables WHERE schemaname = 'oaflow'")
    )
    assert SECRET.removeprefix("whsec_") not in dump


def test_the_command_that_follows_a_run_tells_its_end_where_nobody_else_does(cli: Command) -> None:
    name = cli.pipeline("told", {"source": {"with": {"count": 1}, "next": "end"}, "end": {}})
    with receiver() as there:
        assert cli("webhook", "add", there.url).code == 0
        cli.environment["OAFLOW_WEBHOOK_SECRET"] = SECRET
        assert cli("run", name, "-d", "demo", "--workers", "1").code == 0
        ((_, body),) = there.came
    assert json.loads(body)["type"] == "run.finished"


def listed(cli: Command) -> dict[str, Any]:
    return json.loads(cli("webhook", "list", "--json").out)


def logs(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_who_has_followed_a_run_sees_how_it_ended_before_others_are_told_and_need_not_wait_for_that(
    cli: Command, started: Started, until: Until
) -> None:
    name = cli.pipeline("told", {"source": {"with": {"count": 3}, "next": "end"}, "end": {}})
    with receiver() as there:
        there.answer = None
        assert cli("webhook", "add", there.url, "--name", "here").code == 0
        cli.environment["OAFLOW_WEBHOOK_SECRET"] = SECRET
        running = started(cli.start("run", name, "-d", "demo", "--workers", "1", "--json"))
        until(lambda: there.came)

        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=PATIENCE)

    assert running.returncode == 0, err
    assert json.loads(out)["state"] == "finished"
