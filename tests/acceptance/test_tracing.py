"""
What became of single documents: the passport that `oaflow trace` puts together, held against the receipt of the run.
"""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prov.model import ProvActivity, ProvDocument

from oaflow.operations import reading, tracing
from oaflow.operations.passports import Passport, Step
from oaflow.operations.provenance import provenance
from oaflow.settings import Settings
from tests.acceptance.conftest import Command

NAMES = ["a/file0.txt", "file1.txt", "<script>alert(1)</script>.pdf", "two\nlines.txt", "\u202ertl.txt", "b/file0.txt"]


def stages(folder: Path) -> dict[str, Any]:
    """
    A pipeline in which something else becomes of each document.
    """
    here = "stages_for_tests"
    ways = [
        {"to": "bad", "where": "e.id == 'doc-2'"},
        {"to": "crooked", "where": "e.id == 'doc-3'"},
        {"to": "index", "where": "e.id in ['doc-0', 'doc-1', 'doc-0/in']"},
    ]
    return {
        "source": {"task": f"{here}.source", "with": {"named": NAMES}, "next": "unpacks"},
        "unpacks": {
            "task": f"{here}.unpacks",
            "with": {"depth": 1},
            "next": {"default": "first", "inner": {"to": "unpacks", "recurse": 2}},
        },
        "first": {
            "task": f"{here}.fails_first",
            "with": {"log": str(folder / "first")},
            "retry": {"max": 1, "base": "500ms"},
            "next": ways,
        },
        "bad": {"task": f"{here}.fails", "next": "index"},
        "crooked": {"task": f"{here}.fails", "next": "index", "on_error": "saves"},
        "saves": {"task": f"{here}.keeps"},
        "index": {"task": "oaflow.stages.index", "collect": {"size": 100, "wait": "1s"}},
    }


def settings_of(cli: Command) -> Settings:
    return Settings(db_uri=cli.environment["OAFLOW_DB_URI"], home=Path(cli.environment["OAFLOW_HOME"]))


def passport_of(settings: Settings, document: str, **where: str) -> Passport:
    (passport,) = tracing.trace(settings, document, **where).passports  # pyright: ignore[reportArgumentType]
    return passport


def way(passport: Passport) -> list[tuple[str, list[str]]]:
    return [(step.stage, [attempt.outcome for attempt in step.attempts]) for step in passport.walk()]


def step_of(passport: Passport, stage: str) -> Step:
    return next(step for step in passport.walk() if step.stage == stage)


@pytest.mark.slow
def test_a_document_is_traced_through_all_that_became_of_it_and_without_procrastinates_rows(cli: Command) -> None:
    (cli.folder / "way.yml").write_text(json.dumps({"pipeline": "way", "stages": stages(cli.folder)}))
    assert cli("run", "way.yml", "-d", "demo", "--workers", "1").code == 1
    assert cli("retry", "--workers", "1").code == 1
    settings = settings_of(cli)
    with reading.receipt_list(settings, None, "all") as (run, of_run):
        listed = list(of_run)
    assert {one.line for one in listed} == {"indexed", "failed", "diverted", "unmatched"}

    passports = {one.document: passport_of(settings, one.document) for one in listed}

    # The oracle is the account of the run, which reads all of its history.
    assert {id: (one.line, one.name) for id, one in passports.items()} == {
        one.document: (one.line, one.name) for one in listed
    }
    assert way(passports["doc-1"]) == [("unpacks", ["done"]), ("first", ["retried", "done"]), ("index", ["done"])]
    (retried, done) = step_of(passports["doc-1"], "first").attempts
    assert (retried.number, done.number, done.error) == (1, 2, None)
    assert retried.error is not None
    assert (retried.error["type"], retried.error["message"]) == ("ValueError", "not yet")
    assert retried.wait is not None
    assert done.wait is not None
    assert done.wait >= 0.3  # it was to wait for half a second
    assert done.started is not None
    assert done.ended is not None
    assert done.seconds == (done.ended - done.started).total_seconds()
    assert done.place
    assert done.version
    # What was put together names the others, and waited for them too.
    index = step_of(passports["doc-1"], "index")
    assert index.beside >= 1
    # Sent again, it hangs below what it repeats.
    bad = [step for step in passports["doc-2"].walk() if step.stage == "bad"]
    assert [step.of for step in bad] == [None, bad[0].job]
    assert bad[0].next == (bad[1],)
    # Diverted, and what was written then.
    assert way(passports["doc-3"])[-2:] == [("crooked", ["diverted"]), ("saves", ["done"])]
    assert [one.entity for one in step_of(passports["doc-3"], "saves").wrote] == ["doc-3"]
    # What was found in it, and it in what.
    assert passports["doc-0"].children == (("doc-0/in", "doc-0/in"),)
    inner = passports["doc-0/in"].finder
    assert inner is not None
    assert (inner.stage, inner.container) == ("unpacks", ("doc-0", "a/file0.txt"))
    # Nothing of this stands in procrastinate's rows.
    with psycopg.connect(cli.environment["OAFLOW_DB_URI"], autocommit=True) as connection:
        connection.execute("DELETE FROM procrastinate_jobs")
    assert {id: passport_of(settings, id) for id in passports} == passports

    # The drawing of the run has the same in numbers.
    drawn = cli("graph", "--run", "latest", "--json").json
    counts = {each["name"]: {word: n for word, n in each["counts"].items() if n} for each in drawn["stages"]}
    passed = {(each["from"], each["to"], each["kind"]): each["count"] for each in drawn["edges"] if each["count"]}
    assert counts == {
        "source": {"done": 1},
        "unpacks": {"done": 12},
        "first": {"done": 12, "unmatched": 7},
        "bad": {"failed": 1},
        "crooked": {"diverted": 1},
        "saves": {"done": 1, "entities": 1},
        "index": {"done": 2},
    }
    assert passed == {
        ("source", "unpacks", "next"): 6,
        ("unpacks", "unpacks", "next"): 6,
        ("unpacks", "first", "next"): 12,
        ("first", "bad", "next"): 1,
        ("first", "crooked", "next"): 1,
        ("first", "index", "next"): 3,
        ("crooked", "saves", "error"): 1,
    }
    picture = cli("graph", "--run", "latest", "-f", "svg").out
    assert {"12 done · 7 unmatched", "1 failed", "↻ inner, recurse 2: 6"} <= set(re.findall(">([^<]+)</text>", picture))
    odd = cli("trace", "doc-4")
    several = cli("trace", "file0.txt")
    whole = cli("trace", "file0.txt", "--json")
    assert "\\u202ertl.txt\nunmatched: port 'default' of stage 'first' has no edge" in odd.out
    assert [line.split()[0] for line in several.out.splitlines()[2:]] == ["doc-0", "doc-5"]
    assert "help:  oaflow trace doc-0" in several.err
    assert [json.loads(line)["document"] for line in whole.out.splitlines()] == ["doc-0", "doc-5"]
    # A library for PROV reads all of it.
    written = json.loads(cli("trace", "doc-2", "-f", "prov").out)
    read: Any = ProvDocument.deserialize(content=json.dumps(written), format="json")
    assert ProvDocument.deserialize(content=read.serialize(format="json"), format="json") == read
    assert len(read.get_records()) == sum(len(some) for kind, some in written.items() if kind != "prefix")
    outcomes = [outcome for one in read.get_records(ProvActivity) for outcome in one.get_attribute("oaflow:outcome")]
    assert outcomes.count("failed") == 2
    # What found a document is the attempt at what it was found in: one activity, also where both are put together.
    inner_says, outer_says = (json.loads(cli("trace", id, "-f", "prov").out) for id in ("doc-0/in", "doc-0"))
    (finding,) = [
        one["prov:activity"]
        for one in inner_says["wasGeneratedBy"].values()
        if one["prov:entity"] == "document:demo/doc-0%2Fin"
    ]
    assert outer_says["activity"][finding]["oaflow:outcome"] == "done"
    together = provenance([passports["doc-0/in"], passports["doc-0"]])
    assert together["activity"][finding] == outer_says["activity"][finding]
    failed = cli("trace", "doc-2")
    assert failed.err == f"look at it: oaflow retry {bad[1].job} --here\n"
    plain = failed.out
    assert plain.startswith(f"{NAMES[2]}\nfailed: bad: ValueError: cannot read [bold]doc-2\\x1b[31m\n")
    assert f"job {bad[0].job} again" in plain

    # The same documents in a later run, and in another dataset.
    (cli.folder / "first-doc-1").unlink()
    assert cli("run", "way.yml", "-d", "demo", "--workers", "1").code == 1
    found = tracing.trace(settings, "doc-1")
    assert [one.others for one in found.found] == [(run.id,)]
    assert passport_of(settings, "doc-1", run=run.id) == passports["doc-1"]
    assert f"in other runs too: {run.id}" in cli("trace", "doc-1").err
    for arguments, problem in (
        (("doc-1", "-d", "other"), "nothing is known about 'doc-1' in dataset 'other'"),
        (("doc-9", "--run", run.id), f"nothing is known about 'doc-9' in run '{run.id}'"),
        (("doc-1", "--run", "way-aaaaaa"), "there is no run 'way-aaaaaa'"),
    ):
        assert (cli("trace", *arguments).code, cli("trace", *arguments).error) == (2, problem)


def test_a_document_is_found_by_path_hash_entity_and_where_no_stage_reports_it(cli: Command) -> None:
    folder = cli.folder / "papers"
    folder.mkdir()
    (folder / "letter.txt").write_text("Ada Lovelace wrote to ada@example.org.")
    raw = bytes(folder) + b"/caf\xe9.txt"
    with open(raw, "w") as file:
        file.write("not UTF-8 is its name")
    ran = cli("run", "ingest", "-d", "papers", "--workers", "1", "--json", str(folder))
    assert ran.code == 0, ran.err
    settings = settings_of(cli)
    letter = passport_of(settings, str(folder / "letter.txt"))

    digest = hashlib.sha1((folder / "letter.txt").read_bytes()).hexdigest()
    assert passport_of(settings, digest) == letter
    assert passport_of(settings, "papers/letter.txt") == letter
    copy = cli.folder / "copy.txt"
    copy.write_bytes((folder / "letter.txt").read_bytes())
    assert passport_of(settings, str(copy)) == letter
    # A name that is not UTF-8, as the shell gives it on.
    assert cli("trace", os.fsdecode(raw)).out == cli("trace", os.fsdecode(os.path.basename(raw))).out
    assert cli("trace", "café.txt").out.startswith("papers/café.txt\nindexed\n")

    # Entities that came in, in a pipeline where nobody says what was found.
    lines = [{"id": f"mail-{number}", "schema": "Email", "properties": {"subject": ["hello"]}} for number in (1, 2)]
    lines.append({"id": "ada", "schema": "Person", "properties": {"name": ["Ada"]}})
    (cli.folder / "in.json").write_text("\n".join(map(json.dumps, lines)))
    name = cli.pipeline("plain", {"work": {"next": "end"}, "end": {}})
    assert cli("run", name, "-d", "mails", "--workers", "1", "-i", "in.json").code == 0
    mail = passport_of(settings, "mail-2")
    assert way(mail) == [("work", ["done"]), ("end", ["done"])]
    assert (mail.line, mail.finder, [one.origin for one in mail.said]) == ("ended", None, ["plain/-i"])
    person = cli("trace", "ada")
    assert (person.code, person.error) == (2, "no run has 'ada' as a document: it is a Person in dataset 'mails'")

    # An entity that was read in documents leads to them, and says who said it.
    (cli.folder / "marker").touch()
    read = {
        "crawl": {"task": "oaflow.stages.crawl", "with": {"source": ["papers/letter.txt"]}, "next": "learns"},
        "learns": {"task": "stages_for_tests.learns", "with": {"marker": str(cli.folder / "marker")}},
    }
    (cli.folder / "read.yml").write_text(json.dumps({"pipeline": "read", "stages": read}))
    assert cli("run", "read.yml", "-d", "readers", "--workers", "1").code == 0
    one = passport_of(settings, "person-Ada")
    assert (one.name, one.run.dataset, way(one)) == ("letter.txt", "readers", [("learns", ["done"])])
    said = f"Person Ada person-Ada, written by read/learns because of {one.document}\n"
    assert cli("trace", "person-Ada", "-d", "readers").out.startswith(said)


def test_a_document_that_failed_before_anybody_wrote_it_down_is_found_by_its_hash_in_each_dataset(cli: Command) -> None:
    settings = settings_of(cli)
    (cli.folder / "papers").mkdir()
    (cli.folder / "papers" / "poison.txt").write_text("nobody can read this")
    early = {
        "crawl": {"task": "oaflow.stages.crawl", "with": {"source": ["papers"]}, "next": "bad"},
        "bad": {"task": "stages_for_tests.fails"},
    }
    (cli.folder / "early.yml").write_text(json.dumps({"pipeline": "early", "stages": early}))
    assert cli("run", "early.yml", "-d", "one", "--workers", "1").code == 1

    digest = hashlib.sha1(b"nobody can read this").hexdigest()
    poison = passport_of(settings, digest)

    assert (poison.name, poison.run.dataset, way(poison)) == ("papers/poison.txt", "one", [("bad", ["failed"])])
    assert cli("run", "ingest", "papers", "-d", "two", "--workers", "1").code == 0
    both = tracing.trace(settings, digest, every=True).passports
    assert {one.run.dataset for one in both} == {"one", "two"}
    assert passport_of(settings, digest, dataset="one") == poison
