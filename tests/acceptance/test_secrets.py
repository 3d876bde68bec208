"""
Passwords and keys that the environment holds stay there: they are in no table, file, output, traceback or command line.
"""

import signal
import subprocess
import urllib.error
from collections.abc import Callable
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.acceptance.conftest import PATIENCE, Command
from tests.acceptance.test_health import get
from tests.acceptance.test_processes import tree
from tests.acceptance.test_spans import collector

Started = Callable[[subprocess.Popen[str]], subprocess.Popen[str]]
Until = Callable[[Callable[[], Any]], Any]

CANARY = "c4n4ry"


def test_what_is_secret_is_nowhere_after_runs_a_failure_and_a_database_that_is_away(
    cli: Command, database: str, started: Started, until: Until
) -> None:
    address = make_conninfo(database, password=f"{CANARY}-password")
    away = f"postgresql://me:{CANARY}-elsewhere@127.0.0.1:1/nothing"
    awry = away.replace("-elsewhere", f"/{CANARY}")  # not written as in an address
    other = away.replace("postgresql", "mysql")
    cli.environment |= {"OAFLOW_DB_URI": address, "DEBUG": "true", "AWS_SECRET_ACCESS_KEY": f"{CANARY}-key"}
    stages = {
        "source": {"with": {"count": 3}, "next": "fails"},
        "fails": {"retry": 0, "next": "end"},
        "end": {},
    }
    name = cli.pipeline("leaky", stages)
    said: list[str] = []

    def say(*command: str, **environment: str) -> None:
        result = cli(*command, env=environment)
        said.extend((result.out, result.err))

    worker = started(cli.start("worker", "--health", "0", "--debug"))
    assert worker.stderr is not None
    first = worker.stderr.readline()
    url = first.split()[1].removesuffix("/live")
    until(lambda: get(f"{url}/ready")[0] == 200)
    say("run", name, "-d", "demo", "--workers", "0", "--json", "--debug")
    say("run", name, "-d", "other", "--workers", "1", "--debug", FTM_FRAGMENTS_URI=away)
    say("schedule", "add", name, "-d", "demo", "--cron", "@daily", "--json")
    for command in (
        "status --all",
        "failures --json",
        "failures",
        "logs",
        "doctor",
        "doctor --json",
        "limit",
        "receipt",
    ):
        say(*command.split())
    for command in ("doctor", "status --debug", "db check", "db migrate --dry-run", "backup x.tar"):
        say(*command.split(), OAFLOW_DB_URI=away)
        say(*command.split(), OAFLOW_DB_URI=awry)
    for command in ("doctor", "db check", "datasets", "search x", "status --debug"):
        say(*command.split(), FTM_STORE_URI=other)
    said += [get(f"{url}/{page}", accept)[1] for page in ("live", "ready") for accept in ("*/*", "application/json")]
    said += tree(worker.pid).values()
    worker.send_signal(signal.SIGTERM)
    out, err = worker.communicate(timeout=PATIENCE)
    said += [first, out, err]

    assert any("ValueError" in text or "Error" in text for text in said), "nothing failed"
    assert [text for text in said if CANARY in text] == []
    files = [path for path in Path(cli.environment["OAFLOW_HOME"]).rglob("*") if path.is_file()]
    assert any(path.suffix == ".log" for path in files)
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []
    assert [table for table, text in everything(database) if CANARY in text] == []


def test_what_is_secret_is_in_no_page_trace_metric_or_message_that_is_sent(
    cli: Command, database: str, started: Started, until: Until
) -> None:
    from tests.acceptance.test_webhooks import KEY, SECRET, receiver

    assert CANARY.replace("4", "a") in KEY.decode()
    key = SECRET.removeprefix("whsec_")
    words = (f"{CANARY}-database", f"{CANARY}-collector", f"{CANARY}-header", f"{CANARY}-page", KEY.decode(), key)
    stages = {"source": {"with": {"count": 2}, "next": "fails"}, "fails": {"retry": 0}}
    name = cli.pipeline("leaky", stages)
    said: list[str] = []
    with collector() as traces, receiver() as there:
        cli.environment |= {
            "OAFLOW_DB_URI": make_conninfo(database, password=words[0]),
            "OTEL_EXPORTER_OTLP_ENDPOINT": traces.url.replace("//", f"//me:{words[1]}@"),
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization={words[2]}",
            "OAFLOW_WEB_PASSWORD": words[3],
            "OAFLOW_WEBHOOK_SECRET": SECRET,
            "OAFLOW_EXECUTORS": "1",
        }
        assert cli("webhook", "add", there.url, "--name", "here").code == 0
        worker = started(cli.start("worker", "--health", "0", "--debug"))
        page = started(cli.start("web", "--port", "0", "--debug"))
        assert worker.stderr is not None
        assert page.stdout is not None
        first = worker.stderr.readline()
        url, root = first.split()[1].removesuffix("/live"), page.stdout.readline().strip().removesuffix("/")
        assert cli("run", name, "-d", "demo", "--workers", "0").code == 1
        run = cli("status", "--json").json["run"]
        until(lambda: there.came)
        said += [str(body) for _, body in there.came]
        said += [str(headers) for headers, _ in there.came]
        said += [get(f"{url}/{path}")[1] for path in ("metrics", "metrics/database")]

        browser = build_opener(HTTPCookieProcessor(CookieJar()))

        def read(path: str, form: dict[str, str] | None = None) -> None:
            data = urlencode(form).encode() if form is not None else None
            try:
                with browser.open(f"{root}{path}", data, timeout=PATIENCE) as answer:
                    said.append(f"{answer.headers}{answer.read().decode()}")
            except urllib.error.HTTPError as answer:
                said.append(f"{answer.headers}{answer.read().decode()}")

        read("/")
        read("/enter", {"password": "wrong"})
        read("/enter", {"password": words[3]})
        paths = ("", "/stages/fails", "/failures", "/documents", "/plan", "/nothing")
        for path in ["/", "/workers", "/limits", "/datasets", "/search?q=x", *(f"/runs/{run}{path}" for path in paths)]:
            read(path)
        read(f"/runs/{run}/retry", {"mark": "wrong"})
        assert "1 failed" in "".join(said) or "ValueError" in "".join(said), "no page of the run was seen"
        for command in ("doctor", "webhook list", "webhook test here", "simulate", "failures", "status --all"):
            result = cli(*command.split(), "--debug")
            said += [result.out, result.err]
        said += [*tree(worker.pid).values(), *tree(page.pid).values()]
        for process in (worker, page):
            process.send_signal(signal.SIGTERM)
            said += process.communicate(timeout=PATIENCE)
        assert traces.spans
        said += [str(span) for span in traces.spans]
        said += sorted(traces.facts)

    assert [(word, text) for word in words for text in said if word in text] == []
    kept = [path for path in Path(cli.environment["OAFLOW_HOME"]).rglob("*") if path.is_file()]
    assert [path for path in kept for word in words if word.encode() in path.read_bytes()] == []
    assert [table for table, text in everything(database) for word in words if word in text] == []


def everything(database: str) -> list[tuple[str, str]]:
    """
    The tables of a database, each with all that is in it.
    """
    with psycopg.connect(database) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        found: list[tuple[str, str]] = []
        for schema, table in tables:
            query = sql.SQL("SELECT coalesce(string_agg(t::text, chr(10)), '') FROM {} t")
            ((text,),) = connection.execute(query.format(sql.Identifier(schema, table))).fetchall()
            found.append((f"{schema}.{table}", text))
        assert any("leaky" in text for _, text in found), "nothing of the runs was looked at"
        return found
