"""
The pages of what takes long to read, and of logs: the receipt, the sizes of datasets, what stages printed.
"""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from oaflow.entities.store import EntityStore
from oaflow.ledger.receipts import receipt
from oaflow.operations.databases import logs_folder
from tests.integration.webpage import Page, page_on

NASTY = "<script>alert(1)</script>\u202e"


@pytest.fixture
def page(database: str, tmp_path: Path) -> Iterator[Page]:
    with page_on(database, home=tmp_path) as page:
        yield page


def there(client: TestClient, address: str) -> str:
    """
    A page, when it has counted what it shows.
    """
    for _ in range(600):
        answer = client.get(address)
        assert answer.status_code == 200, answer.text
        if "data-again" not in answer.text:
            return answer.text
        time.sleep(0.05)
    raise AssertionError("it is not counted")


def with_documents(page: Page) -> str:
    """
    A run that has found three documents: one failed, one is skipped, one is still on its way.
    """
    run = page.run(jobs=1)
    for document, kind, reason in (("a", "found", None), ("b", "skipped", "a lock file"), ("c", "found", None)):
        page.connection.execute(
            "INSERT INTO oaflow.documents (run, document, name, kind, reason, job) VALUES (%s, %s, %s, %s, %s, 1)",
            [run, document, f"{document}{NASTY}.txt", kind, reason],
        )
    page.connection.execute(
        "INSERT INTO oaflow.failures (run, stage, job, documents, type, message, fingerprint)"
        " VALUES (%s, 'reads', 7, '{a}', 'ValueError', %s, 'cause')",
        [run, NASTY],
    )
    return run


def test_the_receipt_says_what_the_command_says_and_lists_each_of_its_lines(page: Page) -> None:
    run = with_documents(page)
    client = page.inside()

    shown = there(client, f"/runs/{run}/receipt")
    account = receipt(page.connection, run, [])
    assert (account.found, account.counts["failed"], account.counts["skipped"]) == (3, 1, 1)
    assert "Not balanced yet: 1 not accounted for, 1 job open." in re.sub(r"<[^>]+>", "", shown)
    for line, names in (("failed", "a"), ("skipped", "b"), ("open", "c"), ("all", "abc"), ("indexed", "")):
        listed = there(client, f"/runs/{run}/receipt?line={line}")
        assert re.findall(r">(.)&lt;script", listed) == list(names), line
        assert "<script>alert" not in listed
        assert "\u202e" not in listed
    assert client.get(f"/runs/{run}/receipt?line={quote(NASTY)}").status_code == 404
    assert client.get("/runs/p-aaaaaa/receipt").status_code == 404


def test_what_lies_in_archives_is_named_with_all_of_them_and_without_the_store_with_the_next(
    page: Page, database: str
) -> None:
    run = page.run(jobs=1)
    above = {"root": ("leak", "Folder"), "outer": ("outer.zip", "Package"), "inner": (f"{NASTY}.zip", "Package")}
    parent = None
    with EntityStore(database) as store, store.writer("d", "p/crawl") as writer:
        for id, (name, schema) in {**above, "letter": ("letter.txt", "PlainText")}.items():
            properties = {"fileName": [name], "parent": [parent] if parent else []}
            writer.add({"id": id, "schema": schema, "properties": properties})
            parent = id
    page.connection.execute(
        "INSERT INTO oaflow.documents (run, document, name, kind, job) VALUES (%s, 'letter', %s, 'found', 1)",
        [run, f"{NASTY}.zip/letter.txt"],
    )
    client = page.inside()
    pages = (f"/runs/{run}/receipt?line=all", f"/runs/{run}/documents", "/document?of=letter")

    for address in pages:
        shown = there(client, address)
        assert "<bdi>leak/outer.zip › &lt;script" in shown, address
        assert " › letter.txt</bdi>" in shown, address
    page.connection.execute("ALTER TABLE ftm_d RENAME COLUMN entity TO gone")  # as good as away
    for address in (f"/runs/{run}/receipt?line=open", f"/runs/{run}/documents"):
        shown = there(client, address)
        assert "<bdi>&lt;script" in shown, address
        assert ".zip/letter.txt</bdi>" in shown, address


def test_a_receipt_of_a_run_that_has_ended_is_taken_once(page: Page) -> None:
    run = with_documents(page)
    page.connection.execute("UPDATE oaflow.runs SET state = 'incomplete', finished_at = now() WHERE id = %s", [run])
    client = page.inside()

    first = there(client, f"/runs/{run}/receipt")
    assert re.search(r"found</a></th><td class=\"n\"><strong>3<", first)
    page.connection.execute("DELETE FROM oaflow.documents")
    assert there(client, f"/runs/{run}/receipt") == first
    # Another round is another account.
    page.connection.execute("UPDATE oaflow.runs SET round = 2 WHERE id = %s", [run])
    assert "no documents to account for" in there(client, f"/runs/{run}/receipt")


def test_a_run_without_documents_has_nothing_to_account_for(page: Page) -> None:
    run = page.run()

    assert "none of its stages found any" in there(page.inside(), f"/runs/{run}/receipt")


def test_datasets_come_with_their_sizes(page: Page, database: str) -> None:
    from followthemoney import model

    with EntityStore(database) as store, store.writer("papers", "p/reads") as writer:
        for number in range(3):
            document = model.make_entity("PlainText")
            document.id = f"doc-{number}"
            document.add("fileSize", "700")
            document.add("contentHash", f"hash-{number % 2}")
            writer.put(document)
    page.run(dataset="empty")

    shown = there(page.inside(), "/datasets")

    rows = {
        name: re.findall(r'<td class="n">([^<]*)</td>', row)
        for name, row in re.findall(r'dataset=(\w+)">\w+</a></th>(.*?)</tr>', shown, re.DOTALL)
    }
    assert rows["papers"][:4] == ["3", "3", "2", "1.4 kB"]
    assert rows["empty"][:4] == ["0", "0", "0", "0 B"]


def test_a_dataset_that_could_not_be_counted_says_so_and_is_not_asked_for_again(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("oaflow.operations.browsing.sizes", broken)
    page.run(dataset="papers")

    assert "could not be counted: ZeroDivisionError: by zero" in there(page.inside(), "/datasets")
    (bug,) = page.bugs
    assert bug.__traceback__ is not None
    page.bugs.clear()


def logged(page: Page, run: str, lines: list[dict[str, Any]]) -> None:
    folder = logs_folder(page.desk.settings)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{run}.jsonl").open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def test_a_log_is_shown_by_pages_of_a_stage_a_job_or_a_document(page: Page) -> None:
    run = with_documents(page)
    client = page.inside()
    assert "printed nothing" in client.get(f"/runs/{run}/log").text

    logged(
        page,
        run,
        [
            {"at": 1e9, "stage": "reads", "job": n, "stream": "stdout", "text": f"line {n}.", "document": "abc"[n % 3]}
            for n in range(450)
        ],
    )
    newest = client.get(f"/runs/{run}/log").text
    assert ["line 449." in newest, "line 250." in newest, "line 249." in newest] == [True, True, False]
    earlier = re.search(r'rel="prev" href="([^"]+)"', newest)
    assert earlier is not None
    older = client.get(earlier[1].replace("&amp;", "&")).text
    assert ["line 250." in older, "line 249." in older, "line 50." in older] == [False, True, True]
    assert re.findall(r"line (\d+)\.", client.get(f"/runs/{run}/log?job=17").text) == ["17"]
    # By its name, too.
    found = re.findall(r"line (\d+)\.", client.get(f"/runs/{run}/log?document={quote(f'a{NASTY}.txt')}").text)
    assert found == [str(n) for n in range(450) if n % 3 == 0][-200:]
    assert "printed nothing that matches" in client.get(f"/runs/{run}/log?stage=keeps").text
    for wrong in ("stage=nothing", "job=x", "before=-1", f"before={'9' * 30}", "job=1e3"):
        assert client.get(f"/runs/{run}/log?{wrong}").status_code == 404, wrong
    assert client.get(f"/runs/{run}/log?before=1").status_code == 200


def test_a_traceback_in_a_log_keeps_its_lines_and_says_how_many_are_left_out(page: Page) -> None:
    run = page.run()
    traceback = 'Traceback:\n  File "x.py", line 1\n\traise\nValueError: no\x1b[31m\n'
    logged(page, run, [{"text": traceback}, {"text": "\n".join(f"line {n}." for n in range(100))}])

    shown = page.inside().get(f"/runs/{run}/log").text

    assert "Traceback:\n  File &#34;x.py&#34;, line 1\n        raise\nValueError: no\\x1b[31m</span>" in shown
    assert "… 40 lines left out …\nline 40.\n" in shown
    assert "line 39." not in shown
    assert re.search(r"\.log \.text \{ white-space: pre-wrap", page.inside().get("/static/page.css").text)


def test_what_is_printed_is_text_and_what_is_no_log_does_no_harm(page: Page) -> None:
    run = page.run()
    logged(
        page,
        run,
        [
            {"at": "yesterday", "stage": NASTY, "job": NASTY, "text": NASTY},
            {"at": 1e300, "stage": 3, "job": None, "text": None, "documents": 5},
            {"text": "x" * 100_000},
        ],
    )
    client = page.inside()

    shown = client.get(f"/runs/{run}/log").text

    assert "alert(1)" in shown
    assert "<script>alert" not in shown
    assert "\u202e" not in shown
    assert "x" * 3000 not in shown
    # No way out of the folder of logs.
    for name in ("..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd", "..", "%00"):
        assert client.get(f"/runs/{name}/log").status_code == 404, name
