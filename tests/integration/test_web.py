"""
The page's server on a real database: who gets in, what is shown, what is refused.
"""

import html
import json
import re
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from oaflow.errors import UsageError
from oaflow.ledger import runs
from oaflow.ledger.pages import stage_jobs
from oaflow.operations.browsing import PAGE
from oaflow.plan import Plan, PlannedStage
from oaflow.settings import Settings
from oaflow.web.serving import OpenDoorError, root_of, rules_of
from oaflow.web.visitors import Doorkeeper, Rules
from tests.integration.webpage import HERE, PLAN, Page, mark_of, page_on


@pytest.fixture
def page(database: str) -> Iterator[Page]:
    with page_on(database) as page:
        yield page


def test_a_token_is_exchanged_for_a_cookie_and_leaves_the_address(page: Page) -> None:
    client = page.client()

    assert client.get("/").status_code == 401
    assert client.get("/?token=guess").status_code == 401
    let_in = client.get("/runs/x?a=1&token=secret")

    assert (let_in.status_code, let_in.headers["location"]) == (303, "/runs/x?a=1")
    cookie = let_in.headers["set-cookie"].lower()
    assert cookie.startswith("oaflow-8080=")
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert client.get("/").status_code == 200
    # A cookie that somebody else signed is none.
    forged = page.client()
    forged.cookies.set("oaflow-8080", Doorkeeper(Rules(token="secret")).cookie())
    assert forged.get("/").status_code == 401
    # `//elsewhere` would be an address elsewhere.
    assert client.get("//elsewhere/?token=secret").headers["location"] == "/"


def test_every_answer_says_what_a_browser_may_do_with_it(page: Page) -> None:
    client = page.inside()

    for address in ("/", "/nothing", "/runs/nothing-aaaaaa", "/static/page.css", "/runs/%00"):
        headers = client.get(address).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    assert client.get("/").headers["cache-control"] == "no-store"


def test_a_name_that_leads_here_from_elsewhere_is_refused(page: Page) -> None:
    client = page.inside(names=frozenset({"pages.example"}))

    for host, status in (
        ("evil.example", 421),
        ("evil.example:8080", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
        ("127.0.0.1:8080", 200),
        ("[::1]:8080", 200),
        ("Pages.example:8080", 200),
    ):
        assert client.get("/", headers={"host": host}).status_code == status, host


def test_runs_are_listed_by_pages_and_one_is_shown_with_its_counters(page: Page) -> None:
    made = [page.run(dataset=f"d{number % 2}") for number in range(PAGE + 3)]
    client = page.inside()

    first = client.get("/").text
    assert made[-1] in first
    assert made[2] not in first
    older = client.get(f"/?before={made[3]}").text
    assert [run in older for run in made[:4]] == [True, True, True, False]
    assert made[1] in client.get("/?dataset=d1").text
    assert made[0] not in client.get("/?dataset=d1").text
    page.connection.execute("UPDATE oaflow.counters SET failed = 1234 WHERE run = %s", [made[0]])
    assert f'<a href="/runs/{made[0]}/failures">1,234</a>' in client.get(f"/?before={made[3]}").text

    shown = client.get(f"/runs/{made[0]}").text
    assert "no live worker can run" in shown
    assert client.get("/runs/p-aaaaaa").status_code == 404


def test_a_password_lets_in_and_guesses_wait_for_each_other(page: Page) -> None:
    client = page.client(password="open sesame")

    door = client.get("/runs?x=1")
    assert door.status_code == 401
    assert 'name="to" value="/runs?x=1"' in door.text
    assert client.get("/?token=").status_code == 401
    wrong = client.post("/enter", data={"password": "open", "to": "/workers"})
    assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)
    assert "This is not the password." in wrong.text
    assert 'name="to" value="/workers"' in wrong.text
    begun = time.monotonic()
    right = client.post("/enter", data={"password": "open sesame", "to": "/workers"})
    assert time.monotonic() - begun >= 0.2  # after a wrong guess
    assert (right.status_code, right.headers["location"]) == (303, "/workers")
    assert client.get("/workers").status_code == 200
    for elsewhere in ("//evil.example", "https://evil.example", "/\\evil.example"):
        answer = client.post("/enter", data={"password": "open sesame", "to": elsewhere})
        assert answer.headers["location"] == "/"


def test_who_sends_a_form_when_the_session_has_ended_comes_in_to_the_page_with_that_form(page: Page) -> None:
    client = page.client(password="open sesame")

    for sent, to in (("/runs/p-aaaaaa/pause", "/runs/p-aaaaaa"), ("/limits", "/limits"), ("/leave", "/")):
        assert f'name="to" value="{to}"' in client.post(sent).text
    assert 'name="to" value="/"' in client.get("/enter").text


def test_a_proxy_lets_in_by_its_header_and_only_while_it_says_so(page: Page) -> None:
    client = page.client(header="X-User")

    assert client.get("/").status_code == 401
    assert client.get("/", headers={"X-User": "anna"}).status_code == 303
    assert client.get("/", headers={"X-User": "anna"}).status_code == 200
    assert client.get("/").status_code == 401
    # A cookie of somebody else is none.
    assert client.get("/", headers={"X-User": "boris"}).status_code == 303


@pytest.mark.parametrize("sent_on", ["", "/sub/flow"])
def test_behind_a_proxy_every_address_begins_with_the_path_that_it_shows_whatever_it_sends_on(
    page: Page, sent_on: str
) -> None:
    run = page.run()
    page.connection.execute("UPDATE oaflow.counters SET failed = 1 WHERE run = %s", [run])
    client = page.client(root="/sub/flow", token="secret")

    entered = client.get(f"{sent_on}/workers?token=secret&x=1")
    assert entered.headers["location"] == "/sub/flow/workers?x=1"
    assert "Path=/sub/flow;" in entered.headers["set-cookie"]
    client.cookies = dict(client.cookies)  # which a browser sends for what it sees, and not for what is sent on
    for path in ("/", f"/runs/{run}", f"/runs/{run}/plan", f"/runs/{run}/stages/reads", "/datasets", "/limits"):
        shown = client.get(sent_on + path)
        assert shown.status_code == 200
        found = re.findall(r'(?:href|action|src|data-live|data-log)="([^"]*)"', shown.text)
        assert len(found) > 8
        assert [one for one in found if not one.startswith(("/sub/flow/", "#"))] == [], path
        assert '="/runs/' not in shown.text
    assert f'href="/sub/flow/runs/{run}/stages/reads">\n<title>' in client.get(f"{sent_on}/runs/{run}").text
    assert client.get(f"{sent_on}/static/page.css").status_code == 200
    assert client.get(f"{sent_on}/static/graph.css").status_code == 200
    mark = re.search(r'name="mark" value="([^"]+)"', client.get(f"{sent_on}/limits").text)
    assert mark is not None
    for what, to in ((f"/runs/{run}/pause", f"/runs/{run}"), ("/leave", "/")):
        answer = client.post(sent_on + what, data={"mark": mark[1]})
        assert (answer.status_code, answer.headers["location"]) == (303, f"/sub/flow{to}")


def test_a_path_under_which_a_proxy_shows_pages_is_one_of_an_address() -> None:
    assert [root_of(given) for given in ("", "/", "flow", "/flow/", "/a/b-c")] == ["", "", "/flow", "/flow", "/a/b-c"]
    for given in ("/a//b", "http://pages.example", "/a b", "/a?b", "/ä"):
        with pytest.raises(UsageError, match="no path of a page"):
            root_of(given)


def test_only_forms_of_this_server_and_session_change_something(page: Page) -> None:
    run = page.run()
    client, other = page.inside(), page.inside()
    mark = mark_of(client)
    pause = f"/runs/{run}/pause"

    def state() -> str:
        found = runs.find_run(page.connection, run)
        assert found is not None
        return found.state

    for answer in (
        page.client().post(pause, data={"mark": mark}),
        client.post(pause),
        client.post(pause, data={"mark": mark_of(other)}),
        client.post(pause, data={"mark": mark}, headers={"origin": "http://evil.example"}),
        client.post(pause, data={"mark": mark}, headers={"origin": "null"}),
        client.post(pause, data={"mark": mark}, headers={"sec-fetch-site": "cross-site"}),
        client.post(pause, data={"mark": mark, "x": "y" * 100_000}),
        client.post("/limits", data={"mark": mark, "name": "a/\0", "rate": "1/s"}),
        client.get(pause),
        client.put(pause, data={"mark": mark}),
    ):
        assert answer.status_code in (401, 403, 404, 405, 413), answer.status_code
        assert state() == "running"
    assert client.post(pause, data={"mark": mark}, headers={"origin": HERE}).status_code == 303
    assert state() == "paused"


def test_what_is_read_only_refuses_each_change_at_the_server(page: Page) -> None:
    run = page.run()
    client = page.inside(read_only=True)
    mark = mark_of(client)

    for address in [f"/runs/{run}/{what}" for what in ("pause", "resume", "cancel", "retry", "x")] + ["/limits"]:
        refused = client.post(address, data={"mark": mark, "name": "a/t.reads", "concurrency": "1"})
        assert (refused.status_code, "--read-only" in refused.text) == (403, True)
    found = runs.find_run(page.connection, run)
    assert found is not None
    assert found.state == "running"
    for shown in (f"/runs/{run}", "/limits", "/"):
        assert set(re.findall(r'<form method="post" action="([^"]+)"', client.get(shown).text)) == {"/leave"}
    assert client.post("/leave", data={"mark": mark}).status_code == 303


def test_a_run_is_paused_resumed_and_cancelled_and_a_task_limited(page: Page) -> None:
    run = page.run()
    client = page.inside()
    mark = {"mark": mark_of(client)}

    for what, state in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        assert client.post(f"/runs/{run}/{what}", data=mark).headers["location"] == f"/runs/{run}"
        assert f'class="state {state}"' in client.get(f"/runs/{run}").text
    again = client.post(f"/runs/{run}/resume", data=mark)
    assert (again.status_code, "has ended: it is cancelled" in again.text) == (409, True)
    assert client.post(f"/runs/{run}/explode", data=mark).status_code == 409
    # Asked for twice, or by two: it leads back to the run.
    assert "<h1>Nothing was changed</h1>" in again.text
    assert f'<a href="/runs/{run}">back</a>' in again.text
    assert "<h1>Not Found</h1>" in client.get("/runs/p-aaaaaa").text

    assert client.post("/limits", data={**mark, "name": "a/t.reads", "concurrency": "3"}).status_code == 303
    assert client.post("/limits", data={**mark, "name": "a/t.reads", "rate": "50/s"}).status_code == 303
    assert re.search(r"a/t.reads</th><td class=\"n\">3</td><td class=\"n\">50/s</td>", client.get("/limits").text)
    for wrong in ({"concurrency": "many"}, {"concurrency": "0"}, {"rate": "often"}, {"name": "reads", "rate": "1/s"}):
        refused = client.post("/limits", data={**mark, "name": "a/t.reads", **wrong})
        assert (refused.status_code, '<a href="/limits">back</a>' in refused.text) == (409, True)
    assert client.post("/limits", data={**mark, "name": "a/t.reads", "clear": "1"}).status_code == 303
    assert "Nothing is limited" in client.get("/limits").text


# What a document may be named, and what its author would like to happen then.
NASTY = "<script>alert(1)</script>\"onload='x' {{7*7}}\u202ecod.exe"


def test_names_from_documents_are_text_wherever_they_stand(page: Page) -> None:
    run = page.run()
    failed = page.connection.execute("SELECT min(id) FROM procrastinate_jobs").fetchone()
    assert failed is not None
    page.connection.execute(
        "INSERT INTO oaflow.documents (run, document, name, kind, reason, job)"
        " VALUES (%s, %s, %s, 'unreadable', %s, %s)",
        [run, NASTY, NASTY, NASTY, failed[0]],
    )
    page.connection.execute(
        "INSERT INTO oaflow.hops (run, stage, job, outcome, documents, detail, started, ended)"
        " VALUES (%s, 'reads', %s, 'failed', %s, %s::jsonb, now(), now())",
        [run, failed[0], [NASTY], json.dumps({"error": {"type": NASTY, "message": NASTY}})],
    )
    page.connection.execute(
        "INSERT INTO oaflow.failures"
        " (run, stage, job, queue, task, args, documents, type, message, traceback, fingerprint)"
        " VALUES (%s, 'reads', %s, 'a', 't.reads', '{}', %s, %s, %s, %s, 'cause')",
        [run, failed[0], [NASTY], NASTY, NASTY, NASTY],
    )
    client = page.inside()

    for address in (
        "/stages/reads",
        "/failures",
        "/failures?cause=cause&stage=reads",
        "/failures?stage=" + quote(NASTY),
        "/documents",
        "/documents?kind=unreadable",
        "/documents?kind=" + quote(NASTY),
        "/stages/" + quote(NASTY.replace("/", "")),
    ):
        shown = client.get(f"/runs/{run}{address}").text
        assert "alert(1)" in shown, address
        assert "<script>alert" not in shown, address
        assert "\u202e" not in shown, address
        assert "\"onload='" not in shown, address
    for address in (
        "/document?of=" + quote(NASTY),
        "/search?q=" + quote(NASTY),
        "/?dataset=" + quote(NASTY),
        "/search?q=x&dataset=" + quote(NASTY),
    ):
        assert "<script>alert" not in client.get(address).text
    assert "alert(1)" in client.get("/document?of=" + quote(NASTY)).text


def test_jobs_of_a_stage_come_by_pages_each_once_also_where_other_stages_have_far_more(page: Page) -> None:
    run = page.run(jobs=0)
    # Two lines a job; every tenth job is one of `keeps`.
    page.connection.execute(
        "INSERT INTO oaflow.hops (run, stage, job, attempt, outcome, at, started, ended)"
        " SELECT %s, CASE WHEN j %% 10 = 0 THEN 'keeps' ELSE 'reads' END, j, a,"
        "        CASE a WHEN 1 THEN 'retried' ELSE 'done' END, now() + a * interval '1 s', now(), now()"
        "   FROM generate_series(1, 1000) j, generate_series(1, 2) a",
        [run],
    )

    for oldest in (False, True):
        met: list[int] = []
        start: int | None = None
        turns = 0
        while True:
            turns += 1
            found = stage_jobs(page.connection, run, "keeps", start, oldest=oldest, limit=7, lines=35)
            met += [job.job for job in found.rows]
            assert {job.outcome for job in found.rows} <= {"done"}, "the last line of a job is lost"
            start = found.next
            if start is None:
                break
        assert turns > 30  # what is read at once is bounded
        assert met == sorted(range(10, 1001, 10), reverse=not oldest)

    shown = page.inside().get(f"/runs/{run}/stages/keeps").text
    assert shown.count('<th scope="row"') == PAGE
    assert "?after=510" in shown
    assert "?after=500&amp;order=oldest" in page.inside().get(f"/runs/{run}/stages/keeps?order=oldest").text
    assert page.inside().get(f"/runs/{run}/stages/keeps?after=x").status_code == 404


def test_a_cause_is_listed_with_its_jobs_by_pages_and_sent_again_by_itself(page: Page) -> None:
    run = page.run(jobs=PAGE + 5)
    page.connection.execute(
        "WITH gone AS (DELETE FROM procrastinate_jobs RETURNING id, queue_name, task_name, args)"
        " INSERT INTO oaflow.failures (run, stage, job, queue, task, priority, args, type, message, fingerprint)"
        " SELECT %s, 'reads', id, queue_name, task_name, 50, args, 'ValueError', 'no date',"
        "        CASE WHEN id %% 10 = 0 THEN 'rare' ELSE 'often' END FROM gone",
        [run],
    )
    page.connection.execute(
        "UPDATE oaflow.counters SET failed = open, open = 0 WHERE run = %s",
        [run],
    )
    client = page.inside()

    causes = client.get(f"/runs/{run}/failures").text
    often = re.search(r"([0-9]+) failed</span> at reads: ValueError: no date", causes)
    assert often is not None
    first = client.get(f"/runs/{run}/failures?cause=often&stage=reads").text
    assert first.count("<article") == min(PAGE, int(often[1]))
    assert client.post(f"/runs/{run}/retry", data={"mark": mark_of(client), "cause": "rare"}).status_code == 303
    left = page.connection.execute(
        "SELECT array_agg(DISTINCT fingerprint) FROM oaflow.failures WHERE resolved_at IS NULL"
    ).fetchone()
    assert left == (["often"],)
    assert client.post(f"/runs/{run}/retry", data={"mark": mark_of(client), "cause": "rare"}).status_code == 409


def test_a_job_that_failed_here_is_looked_at_here_and_that_of_a_service_is_asked_for_again(page: Page) -> None:
    outside = Plan(
        pipeline="p", start=("reads",), stages={"reads": PlannedStage(task="t.reads", queue="a", external=True)}
    )
    runs.store_plan(page.connection, outside.digest, outside.format, "p", outside.canonical())
    here, there = page.run(), runs.start_run(page.connection, "p", outside.digest, "d", {})
    for run, job in ((here, 11), (there, 12)):
        page.connection.execute(
            "INSERT INTO oaflow.failures (run, stage, job, queue, task, args, type, fingerprint)"
            " VALUES (%s, 'reads', %s, 'a', 't.reads', '{}', 'ValueError', 'one')",
            [run, job],
        )
    client = page.inside()

    hints = {
        run: re.findall('<p class="help">.*<code>(.*)</code>', client.get(f"/runs/{run}/failures?cause=one").text)
        for run in (here, there)
    }

    assert hints == {here: ["oaflow retry 11 --here"], there: [f"oaflow retry {there} --stage reads"]}


def test_a_plan_is_shown_and_what_is_different_in_that_of_another_run(page: Page) -> None:
    first = page.run()
    other = Plan(
        pipeline="p", start=("reads",), stages={**PLAN.stages, "keeps": PlannedStage(task="t.keeps", queue="b")}
    )
    runs.store_plan(page.connection, other.digest, other.format, "p", other.canonical())
    second = runs.start_run(page.connection, "p", other.digest, "d", {"all": True, "paths": ["/x"], "city": "Zürich"})
    client = page.inside()

    shown = client.get(f"/runs/{second}/plan?with={first}").text

    cells = [html.unescape(cell) for cell in re.findall("<td>(.*?)</td>", shown)]
    assert {"true", '["/x"]', "Zürich"} <= set(cells)  # as a pipeline file has them
    assert "keeps" in shown
    assert "queue" in shown
    assert "cannot go over" in shown or "may go over" in shown
    assert "both runs have one plan" in client.get(f"/runs/{first}/plan?with={first}").text
    assert client.get(f"/runs/{first}/plan?with=p-aaaaaa").status_code == 404


def test_a_dataset_whose_runs_wrote_nothing_is_searched_without_an_error_and_no_word_is_cut(page: Page) -> None:
    page.run(dataset="quiet")
    client = page.inside()

    shown = client.get("/search?q=canal&dataset=quiet")
    assert (shown.status_code, "The runs of quiet wrote nothing" in shown.text) == (200, True)
    assert client.get("/search?q=canal&dataset=nothing").status_code == 404
    assert "There is no word in these letters" in client.get("/search?q=*&dataset=quiet").text
    long = client.get("/search?dataset=quiet&q=" + "+".join(["canals"] * 100)).text
    assert "Only the first 500 letters are looked for." in long
    assert f'value="{" ".join(["canals"] * 71)}"' in long
    assert "Only the first" not in shown.text


def test_nobody_works_and_nothing_is_there_are_said(page: Page) -> None:
    client = page.inside()

    assert "There is no run yet" in client.get("/").text
    assert "Nobody works now" in client.get("/workers").text
    assert "There is no dataset" in client.get("/datasets").text or "no dataset" in client.get("/datasets").text
    assert client.get("/document?of=nothing").status_code == 404
    page.connection.execute("INSERT INTO procrastinate_workers DEFAULT VALUES")
    page.connection.execute(
        "INSERT INTO oaflow.workers (id, host, pid, program, formats, tasks)"
        " SELECT id, 'a-host', 77, 'p', '{1}', '{t.reads}' FROM procrastinate_workers"
    )
    shown = client.get("/workers").text
    assert "a-host" in shown
    assert "old code" not in shown
    page.connection.execute("""UPDATE oaflow.workers SET stale = '{"t.reads": "/<s>.py"}', restart = 'kill 77'""")
    shown = client.get("/workers").text
    assert "on a-host (pid 77) runs the old code of t.reads: /&lt;s&gt;.py has changed since it loaded it" in shown
    assert "<code>kill 77</code>" in shown


def test_the_page_of_a_run_says_which_workers_have_an_old_code_of_its_stages(page: Page) -> None:
    run, client = page.run(), page.inside()
    page.connection.execute("INSERT INTO procrastinate_workers SELECT FROM generate_series(1, 12)")
    page.connection.execute(
        "INSERT INTO oaflow.workers (id, host, pid, program, formats, tasks, stale, restart)"
        """ SELECT id, 'a-host', 70, 'p', '{1}', '{t.reads}', '{"t.other": "/s.py"}', 'kill 70'"""
        " FROM procrastinate_workers"
    )
    assert "old code" not in client.get(f"/runs/{run}").text
    page.connection.execute("""UPDATE oaflow.workers SET stale = '{"t.reads": "/<s>.py"}'""")
    shown = client.get(f"/runs/{run}").text
    assert shown.count("(pid 70) runs the old code of t.reads: /&lt;s&gt;.py has changed since it loaded it") == 10
    assert shown.count("<code>kill 70</code>") == 10
    assert "and 2 more workers with old code" in shown


@pytest.mark.parametrize(
    ("host", "password", "header", "refused"),
    [
        ("127.0.0.1", None, None, False),
        ("::1", None, None, False),
        ("0.0.0.0", None, None, True),
        ("192.0.2.7", None, None, True),
        ("0.0.0.0", "x", None, False),
        ("0.0.0.0", None, "X-User", False),
    ],
)
def test_an_address_that_others_reach_needs_a_password_or_a_proxy(
    host: str, password: str | None, header: str | None, refused: bool
) -> None:
    settings = Settings(web_password=SecretStr(password) if password else None)

    if refused:
        with pytest.raises(OpenDoorError, match="nothing keeps them out"):
            rules_of(settings, host, header=header, names=(), read_only=False)
        return
    rules, remarks = rules_of(settings, host, header=header, names=(), read_only=False)
    assert [rules.token is not None, rules.password is not None, rules.header is not None].count(True) == 1
    assert not any(word == "x" for remark in remarks for word in remark.split())
    assert (host == "0.0.0.0") == bool(remarks)


def test_the_password_travels_to_no_worker() -> None:
    settings = Settings(web_password=SecretStr("canary"))

    assert "canary" not in settings.model_dump_json()
    assert "canary" not in repr(settings)
