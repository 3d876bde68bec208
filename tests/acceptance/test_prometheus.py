"""
Prometheus itself, with what the page of the docs gives it: it scrapes a real worker, and its answers are those of the
ledger; its own tool reads our samples without a remark, and each alert comes when it should, and not before.
"""

import json
import re
import shutil
import subprocess
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.acceptance.conftest import ROOT, Command
from tests.acceptance.test_health import get
from tests.acceptance.test_processes import query
from tests.docs.samples import blocks

Started = Callable[[subprocess.Popen[str]], subprocess.Popen[str]]
Until = Callable[[Callable[[], Any]], Any]

PAGE = ROOT / "docs" / "how-to" / "watch-with-prometheus.md"
DASHBOARD = ROOT / "deploy" / "grafana-dashboard.json"

_NAME = re.compile(r"\boaflow_[a-z_]+")
_PART = re.compile(r"_(total|bucket|sum|count)$")  # of a family of samples

# What Grafana puts in the place of these.
VARIABLES = {"$pipeline": ".*", "$__rate_interval": "1m"}

pytestmark = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")),
    reason="there is no prometheus here: apt-get install prometheus",
)

# Series that an alert must come of, as promtool writes them, one value a minute. Without any of them none comes.
ALERTS: dict[str, Mapping[str, str]] = {
    "JobsWait": {'oaflow_oldest_waiting_seconds{pipeline="p", stage="s", queue="q"}': "0+61x20"},
    "NobodyWorks": {'oaflow_jobs{pipeline="p", stage="s", state="waiting"}': "7x20", "oaflow_workers": "0x20"},
    "ManyFail": {
        'oaflow_worker_attempts_total{pipeline="p", stage="s", outcome="done"}': "0+100x20",
        'oaflow_worker_attempts_total{pipeline="p", stage="s", outcome="failed"}': "0+6x20",
    },
    "WorkersDie": {"oaflow_worker_deaths_total": "0 0 1 2 3 3x15"},
    "DatabaseAway": {"oaflow_database_up": "0x20"},
}
QUIET: Mapping[str, str] = {
    'oaflow_oldest_waiting_seconds{pipeline="p", stage="s", queue="q"}': "899x20",
    'oaflow_jobs{pipeline="p", stage="s", state="waiting"}': "7x20",
    "oaflow_workers": "1x20",
    'oaflow_worker_attempts_total{pipeline="p", stage="s", outcome="done"}': "0+100x20",
    'oaflow_worker_attempts_total{pipeline="p", stage="s", outcome="failed"}': "0+4x20",
    "oaflow_worker_deaths_total": "0 1 1x18",
    "oaflow_database_up": "1x20",
}


@pytest.fixture
def page() -> tuple[dict[str, Any], dict[str, Any]]:
    """
    What the page gives Prometheus: where to ask, and what to be woken by.
    """
    given = [yaml.safe_load(block.body) for block in blocks(PAGE.read_text("utf-8")) if block.language == "yaml"]
    (scrape,) = [one for one in given if "scrape_configs" in one]
    (rules,) = [one for one in given if "groups" in one]
    return scrape, rules


def test_promtool_finds_nothing_to_say_about_the_page(
    tmp_path: Path, page: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    scrape, rules = page
    written(tmp_path / "rules.yml", rules)
    written(tmp_path / "prometheus.yml", scrape | {"rule_files": ["rules.yml"]})

    said = promtool("check", "config", str(tmp_path / "prometheus.yml"))
    assert "is valid prometheus config file" in said
    assert f"{len(ALERTS)} rules found" in said


def test_promtool_reads_each_expression_of_the_dashboard(tmp_path: Path) -> None:
    rules = [{"record": f"dashboard:{number}", "expr": asks} for number, asks in enumerate(expressions())]
    written(tmp_path / "rules.yml", {"groups": [{"name": "dashboard", "rules": rules}]})

    assert f"{len(rules)} rules found" in promtool("check", "rules", str(tmp_path / "rules.yml"))


def test_each_alert_comes_when_it_should_and_not_before(
    tmp_path: Path, page: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    _, rules = page
    assert [rule["alert"] for group in rules["groups"] for rule in group["rules"]] == list(ALERTS)
    written(tmp_path / "rules.yml", rules)
    tests = [alerted(series, {due}) for due, series in ALERTS.items()]
    whole = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [*tests, alerted(QUIET, set())]}
    written(tmp_path / "tests.yml", whole)

    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / "tests.yml"))


def test_prometheus_reads_a_worker_and_answers_as_the_ledger(
    cli: Command, tmp_path: Path, started: Started, until: Until, page: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    cli.environment["OAFLOW_EXECUTORS"] = "1"
    worker = started(cli.start("worker", "--health", "0"))
    assert worker.stderr is not None
    url = worker.stderr.readline().split()[1].removesuffix("/live")
    scrape, rules = page
    written(tmp_path / "rules.yml", rules)
    written(tmp_path / "prometheus.yml", asking(scrape, urllib.parse.urlsplit(url).netloc))
    there = started_prometheus(tmp_path, started, until)
    stages = {
        "source": {"with": {"count": 20}, "next": "picky"},
        "picky": {"task": "fails", "with": {"on": ["doc-3", "doc-7"]}, "retry": {"max": 0}, "next": "end"},
        "end": {},
    }
    assert cli("run", cli.pipeline("watched", stages), "-d", "demo", "--workers", "0").code == 1

    attempts = "SELECT stage, outcome, count(*) FROM oaflow.hops WHERE attempt IS NOT NULL GROUP BY 1, 2"
    history = {(stage, outcome): count for stage, outcome, count in query(cli, attempts)}
    assert history["picky", "failed"] == 2
    until(lambda: asked(there, "sum by (stage, outcome) (oaflow_worker_attempts_total)") == history)
    counters = "SELECT stage, sum(done)::int, sum(failed)::int FROM oaflow.counters GROUP BY 1"
    counted = {
        (stage, state): count
        for stage, *counts in query(cli, counters)
        for state, count in zip(("done", "failed"), counts, strict=True)
    }
    until(lambda: asked(there, 'sum by (stage, state) (oaflow_jobs{state=~"done|failed"})') == counted)
    (half,) = asked(there, "histogram_quantile(0.5, sum by (le) (oaflow_worker_attempt_seconds_bucket))").values()
    assert 0 < half < 60
    assert asked(there, "count by (job) (up == 1)") == {("oaflow",): 1, ("oaflow-workers",): 1}

    found = until(lambda: evaluated(there))
    assert {rule["name"]: (rule["health"], rule["state"]) for rule in found} == dict.fromkeys(
        ALERTS, ("ok", "inactive")
    )
    families = json.loads(get(f"{there}/api/v1/metadata")[1])["data"]
    named = _NAME.findall("\n".join([*expressions(), PAGE.read_text("utf-8")]))
    assert {_PART.sub("", name) for name in named} <= {_PART.sub("", name) for name in families}
    answers = {expression: answer(there, expression) for expression in expressions()}
    assert [expression for expression, said in answers.items() if said["status"] != "success"] == []
    for path in ("/metrics", "/metrics/database"):
        promtool("check", "metrics", stdin=get(f"{url}{path}")[1])


def alerted(series: Mapping[str, str], due: set[str]) -> dict[str, Any]:
    """
    A test of promtool: which alerts there are after a quarter of an hour with these series.
    """
    there = {"expr": "count by (alertname) (ALERTS)", "eval_time": "15m"}
    samples = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(due)]
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [there | {"exp_samples": samples}],
    }


def written(path: Path, whole: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(whole))  # which is YAML


def promtool(*arguments: str, stdin: str = "") -> str:
    """
    What it says; it must have nothing to complain of.
    """
    done = subprocess.run(
        ["promtool", *arguments],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def asking(scrape: Mapping[str, Any], target: str) -> dict[str, Any]:
    """
    The configuration of the page, which asks one address, and often.
    """
    often = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    configs = [one | {"static_configs": [{"targets": [target]}]} for one in scrape["scrape_configs"]]
    return {"global": often, "rule_files": ["rules.yml"], "scrape_configs": configs}


def started_prometheus(folder: Path, started: Started, until: Until) -> str:
    """
    Its address, once it says that it listens there.
    """
    said = folder / "prometheus.txt"
    with said.open("w") as output:
        started(
            subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'series'}",
                    "--web.listen-address=127.0.0.1:0",
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                text=True,
            )
        )
    address = until(lambda: re.search(r'"Listening on" address=(\S+)', said.read_text()))
    return f"http://{address[1]}"


def asked(there: str, expression: str) -> dict[tuple[str, ...], float]:
    """
    What it answers to an expression, by the values of the labels in the order in which the expression names them.
    """
    said = answer(there, expression)
    if said["status"] != "success":  # it is still reading what it has, or is not ready
        return {}
    order = re.search(r"by \(([^)]*)\)", expression)
    names = [name.strip() for name in order[1].split(",")] if order else []
    return {
        tuple(one["metric"][name] for name in names if name in one["metric"]): float(one["value"][1])
        for one in said["data"]["result"]
    }


def answer(there: str, expression: str) -> dict[str, Any]:
    status, text = get(f"{there}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
    return json.loads(text) if status in (200, 400, 422) else {"status": f"HTTP {status}"}


def expressions() -> list[str]:
    """
    What the dashboard asks, with a value for each variable.
    """
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    found = [target["expr"] for panel in panels for target in panel["targets"]]
    for variable, value in VARIABLES.items():
        found = [one.replace(variable, value) for one in found]
    return found


def evaluated(there: str) -> list[dict[str, Any]]:
    """
    The rules, once each was looked at.
    """
    _, text = get(f"{there}/api/v1/rules")
    found = [rule for group in json.loads(text)["data"]["groups"] for rule in group["rules"]]
    return found if found and all(rule["health"] != "unknown" for rule in found) else []
