"""
From a search to a document: what a search leaves out, and that what it shows can be typed as it stands.
"""

import json
import zipfile

from tests.acceptance.conftest import Command


def test_a_search_says_that_there_are_more_than_it_shows(cli: Command) -> None:
    folder = cli.folder / "letters"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.txt").write_text("the harbour is deep")
    assert cli("run", "ingest", "-d", "letters", str(folder), "--workers", "1").code == 0

    some = cli("search", "harbour", "-d", "letters", "-n", "2")
    json_of_some = cli("search", "harbour", "-d", "letters", "-n", "2", "--json")
    every = cli("search", "harbour", "-d", "letters", "-n", "3")

    assert (some.out.count(".txt"), every.out.count(".txt"), len(json_of_some.out.splitlines())) == (2, 3, 2)
    assert "these are the best 2; there are more: --limit 10" in some.err
    assert "these are the best 2" in json_of_some.err
    assert "more" not in every.err

    # What other searches take for an operator would find the opposite in silence.
    without = cli("search", "deep", "NOT", "harbour", "-d", "letters")
    assert "NOT in capitals is a word like any other" in without.err
    assert "like any other" not in cli("search", "not", "-d", "letters").err


def test_why_nothing_of_a_dataset_is_found_whatever_the_words_is_said(cli: Command) -> None:
    (cli.folder / "letters").mkdir()
    (cli.folder / "letters" / "anna.txt").write_text("the harbour is deep")
    stage = "from oaflow import DatasetJob, stage\n\n@stage\ndef end(job: DatasetJob) -> None: ...\n"
    (cli.folder / "ends.py").write_text(stage)
    (cli.folder / "none.yml").write_text("pipeline: none\nstages: {end: {task: ends.end}}\n")
    crawl = "pipeline: crawls\nstages:\n  crawl: {task: oaflow.stages.crawl, with: {source: [letters]}, next: end}\n"
    (cli.folder / "crawls.yml").write_text(crawl + "  end: {task: ends.end}\n")

    assert cli("run", "none.yml", "-d", "letters", "--workers", "1").code == 0
    run = cli("status", "--json").json["run"]
    for command in (["search", "harbour"], ["entities"]):
        unwritten = cli(*command, "-d", "letters")
        assert (unwritten.code, unwritten.help) == (2, f"oaflow status {run}")
        assert unwritten.error == "dataset 'letters' is empty: no stage has written an entity"
    assert cli("run", "crawls.yml", "-d", "letters", "--workers", "1").code == 0
    unindexed = cli("search", "harbour", "-d", "letters")

    assert unindexed.code == 1
    assert (
        "no document in dataset letters contains all of: harbour\n  nothing in it is searchable yet:" in unindexed.err
    )
    assert "none has harbour" not in unindexed.err
    assert cli("run", "ingest", "-d", "letters", "letters", "--workers", "1").code == 0
    assert "nothing in it" not in cli("search", "harbor", "-d", "letters").err


def test_what_a_search_shows_is_traced_as_it_stands(cli: Command) -> None:
    folder = cli.folder / "leak"
    for place in ("one", "two"):
        (folder / place).mkdir(parents=True)
        with zipfile.ZipFile(folder / place / "papers (final).zip", "w") as papers:
            papers.writestr("a folder/letter to Kühn.txt", f"the walrus of {place}")
    with zipfile.ZipFile(folder / "outer.zip", "w") as outer:
        outer.write(folder / "two/papers (final).zip", "in/papers (final).zip")
    (folder / "two\nlines \u202egpj.txt").write_text("harmless")
    assert cli("run", "ingest", "-d", "leak", str(folder), "--workers", "1").code == 0

    hits = [json.loads(line) for line in cli("search", "walrus", "-d", "leak", "--json").out.splitlines()]

    assert {hit["file"] for hit in hits} == {
        "leak/one/papers (final).zip › a folder/letter to Kühn.txt",
        "leak/two/papers (final).zip › a folder/letter to Kühn.txt",
        "leak/outer.zip › in/papers (final).zip › a folder/letter to Kühn.txt",
    }
    for hit in hits:
        for typed in (hit["file"], hit["file"].replace(" › ", "/")):  # as it stands, and as a path
            traced = cli("trace", typed, "-d", "leak")
            assert traced.code == 0, traced.err
            assert f"document {hit['entity']}" in traced.out
            assert traced.out.startswith(f"{hit['file']}\nindexed\n")
        assert cli("trace", hit["entity"], "--json").json["way"] == hit["file"]
    # A receipt calls each of them the same.
    listed = [line.split("\t")[0] for line in cli("receipt", "--list", "indexed").out.splitlines()]
    inside = {name for name in listed if " › " in name}
    assert inside == {hit["file"] for hit in hits} | {"leak/outer.zip › in/papers (final).zip"}
    ways = {one["way"] for one in map(json.loads, cli("receipt", "--list", "all", "--json").out.splitlines())}
    assert ways == inside | {None}
    for hit in hits:  # without the folder that was crawled, too
        typed = hit["file"].removeprefix("leak/")
        assert f"document {hit['entity']}" in cli("trace", typed, "-d", "leak").out
    # What no terminal should obey is shown as an escape, and can be typed so.
    assert r"leak/two\nlines \u202egpj.txt" in cli("receipt", "--list", "indexed").out
    for typed in (r"two\nlines \u202egpj.txt", "two\nlines \u202egpj.txt"):
        assert cli("trace", typed, "-d", "leak").code == 0
    # What is behind the arrow alone stands for each of them, and what lies in nothing is not found.
    assert "this matches 3 documents" in cli("trace", "papers (final).zip › a folder/letter to Kühn.txt").err
    assert cli("trace", "other.zip › letter.txt").code == 2
    assert cli("trace", "three/papers (final).zip/a folder/letter to Kühn.txt").code == 2
