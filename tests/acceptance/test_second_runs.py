"""
A second run over a folder that has changed: it does what has changed, and leaves what a first run would have left.
"""

import os
import signal
import subprocess
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import orjson
import psycopg
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from oaflow import operations
from oaflow.compiler import functions
from oaflow.errors import UsageError
from oaflow.ledger.receipts import documents
from oaflow.ledger.runs import Run
from oaflow.operations import again, running
from oaflow.operations.crew import Crew
from oaflow.operations.following import Finished
from oaflow.operations.programs import Program, load, locate
from oaflow.operations.rerunning import Choice, Rerun, rerun
from oaflow.operations.starting import Request
from oaflow.settings import Settings
from tests.chaos.test_kills import workers_of
from tests.warm import Warm

# Of the law, beside the one that is always tried.
EXAMPLES = int(os.environ.get("OAFLOW_SECOND", "3"))


def law(test: Any) -> Any:
    """
    Held to so many examples. Each is two or three runs; to shrink one that fails would take an hour.
    """
    held = settings(
        max_examples=EXAMPLES,
        deadline=None,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    return pytest.mark.timeout(100 * (EXAMPLES + 1))(held(test))


STAGES = '''
import os

from followthemoney import model

from oaflow import DatasetJob, stage


@stage
def lines(job: DatasetJob, *, mark: str = "") -> DatasetJob | None:
    """A page for each line of a text, and a person for each word in capitals; with the mark `nothing`, nothing."""
    if mark == "nothing":
        return None
    pages = []
    with job.get_writer() as writer:
        for entity in job.load_entities():
            for number, line in enumerate("".join(entity.get("bodyText")).splitlines(), 1):
                page = model.make_entity("Page")
                page.id = f"{entity.id}-{number}"
                page.add("document", entity.id)
                page.add("bodyText", f"{line} {mark}")
                pages.append(page)
                writer.add(page)
                for word in filter(str.isupper, line.split()):
                    person = model.make_entity("Person")
                    person.id = word
                    person.add("name", word)
                    person.add("status", "hidden" if "hidden" in line else None)
                    pages.append(person)
                    writer.add(person)
    return job.with_entities([*job.get_entities(), *pages])


@stage(retry=0)
def picky(job: DatasetJob, *, refuses: str) -> DatasetJob:
    """Fail at texts with some word, as long as there is a file of that name."""
    texts = [text for entity in job.load_entities() for text in entity.get("bodyText", quiet=True)]
    if os.path.exists(refuses) and any(refuses in text for text in texts):
        raise ValueError("not this one")
    with job.get_writer() as writer:
        note = model.make_entity("Note")
        note.id = f"{job.documents[0]}-note"
        note.add("description", "it has come this far")
        writer.add(note)
    return job
'''

PIPELINE = """
pipeline: {name}
params:
  source: {{type: list, of: path, positional: true}}
  mark: {{default: ""}}
stages:
  crawl: {{task: oaflow.stages.crawl, with: {{source: "${{params.source}}"}}, next: extract}}
  extract:
    task: oaflow.stages.extract
    next:
      default: [{{to: lines, where: {{schema: PlainText}}}}, {{to: index, else: true}}]
      children: {{to: extract, recurse: 4}}
  lines: {{task: second_stages.lines, with: {{mark: "${{params.mark}}"}}, next: picky}}
  picky: {{task: second_stages.picky, with: {{refuses: refused}}, next: index}}
  index: {{task: oaflow.stages.index, collect: {{size: 20, wait: 200ms}}}}
"""

# All of a row of the search, but when it came there.
PASSAGES = (
    "SELECT dataset, entity, part, document, schema, name, page, words, text FROM oaflow.passages ORDER BY entity, part"
)

# What is in a file: a text, or an archive of named members.
Content = str | Mapping[str, Any]


class House:
    """
    A folder with files, and a dataset with runs over it.
    """

    def __init__(
        self, folder: Path, known: Settings, program: Program, database: str, worker: "subprocess.Popen[bytes]"
    ) -> None:
        self.folder, self.known, self.program, self.database = folder, known, program, database
        self.worker, self.kills = worker, 0

    def put(self, files: Mapping[str, Content]) -> None:
        """
        Make the folder hold these files. One that is as it was is not touched.
        """
        self.folder.mkdir(exist_ok=True)
        for path in sorted(self.folder.rglob("*"), reverse=True):
            name = str(path.relative_to(self.folder))
            if path.is_file() and name not in files:
                path.unlink()
            elif path.is_dir() and not any(other.startswith(f"{name}/") for other in files):
                path.rmdir()
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = packed(content)
            if not path.exists() or path.read_bytes() != fresh:
                path.write_bytes(fresh)

    def run(self, program: Program | None = None, **asked: Any) -> Run:
        request = Request("d", (str(self.folder),), **asked)
        finished: Run | None = None
        events = running.run(self.known, program or self.program, request, mode="new", crew=Crew(self.known, 0))
        for event in events:
            if isinstance(event, Finished):
                finished = event.status.run
                assert event.account is not None
                assert event.account.receipt.balanced, event.account.receipt
        assert finished is not None
        return finished

    def rerun(self, of: Run, **choice: Any) -> tuple[Rerun, Run]:
        """
        A part of a run again: what was said of it beforehand, and the run that did it.
        """
        said: list[Rerun] = []

        def agreed(told: Rerun) -> bool:
            said.append(told)
            return True

        events = list(rerun(self.known, of.id, Choice(**choice), agreed, crew=Crew(self.known, 0)))
        last = events[-1]
        assert isinstance(last, Finished)
        assert last.account is not None
        assert last.account.receipt.balanced, last.account.receipt
        assert last.status.run.rerun_of == of.id
        return said[0], last.status.run

    def holds(self) -> tuple[list[Any], list[Any]]:
        """
        All that the store and the search hold, but for times.
        """
        with psycopg.connect(self.database) as connection:
            # The order of values within a property is that of sets.
            rows = connection.execute("SELECT id, origin, fragment, entity FROM ftm_d ORDER BY 1, 2, 3").fetchall()
            store = [
                (*key, {**data, "properties": {k: sorted(v) for k, v in data["properties"].items()}})
                for *key, data in rows
            ]
            search = connection.execute(PASSAGES).fetchall()
        return store, search

    def folders(self) -> dict[str, Any]:
        """
        The folders in the store, by name, each with when it was written.
        """
        query = "SELECT entity, timestamp FROM ftm_d WHERE entity ->> 'schema' = 'Folder'"
        with psycopg.connect(self.database) as connection:
            rows = connection.execute(query).fetchall()
        return dict(sorted((data["properties"]["fileName"][0], when) for data, when in rows))

    def why(self, run: Run) -> dict[str, str | None]:
        """
        Why documents of a run ran, by name.
        """
        with psycopg.connect(self.database) as connection:
            return {one.name.partition("/")[2]: one.why for one in documents(connection, run.id, ["index"]) if one.why}

    def went_to(self, stage: str, run: Run) -> list[str]:
        """
        The names of the documents that jobs of a stage were about.
        """
        query = (
            "SELECT d.name FROM oaflow.hops h"
            " JOIN oaflow.documents d ON d.run = h.run AND d.document = ANY (h.documents)"
            " WHERE h.run = %s AND h.stage = %s AND h.outcome = 'done' ORDER BY d.name"
        )
        with psycopg.connect(self.database) as connection:
            return [name for (name,) in connection.execute(query, (run.id, stage))]

    def kill_workers(self, times: int) -> None:
        """
        Kill the worker as soon as the crawl of the second run has written something down, and then again and again.
        """
        runs = "SELECT count(DISTINCT seen) FROM oaflow.crawled"
        hops = "SELECT count(*) FROM oaflow.hops"
        with psycopg.connect(self.database, autocommit=True) as connection:
            # What the crawl of the first run saw, and by now something of what that of the second sees.
            while connection.execute(runs).fetchone() != (2,):
                time.sleep(0.01)
            for _ in range(times):
                seen = connection.execute(hops).fetchone()
                for pid in workers_of(self.worker.pid):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        self.kills += 1
                until = time.monotonic() + 5
                while connection.execute(hops).fetchone() == seen and time.monotonic() < until:
                    time.sleep(0.05)

    def clear(self) -> None:
        operations.delete("d", settings=self.known)


def packed(content: Content) -> bytes:
    if isinstance(content, str):
        return content.encode()
    from io import BytesIO

    whole = BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, inner in content.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), packed(inner))
    return whole.getvalue()


def program_of(folder: Path, name: str = "twice") -> Program:
    (folder / "second_stages.py").write_text(STAGES)
    (folder / f"{name}.yml").write_text(PIPELINE.format(name=name))
    program = load(locate(str(folder / f"{name}.yml")))
    program.checked()
    return program


@pytest.fixture
def house(database: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm: Warm) -> Iterator[House]:
    """
    Runs in this process, with a worker that stays.
    """
    monkeypatch.setenv("OAFLOW_DB_URI", database)
    monkeypatch.setenv("OAFLOW_EXECUTORS", "1")
    monkeypatch.setattr(functions, "subprocess", warm.documents.looking())
    program = program_of(tmp_path)
    nowhere = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    worker = warm.documents.start(("worker",), tmp_path, os.environ, **nowhere)
    yield House(tmp_path / "folder", Settings(), program, database, worker)
    worker.terminate()
    worker.wait(60)


TEXTS = st.sampled_from(["one line", "one line\ntwo lines\nANNA and BORIS", "one line\nANNA", "", "\x00\x01", "Zürich"])
CONTENTS = st.recursive(
    TEXTS, lambda inner: st.dictionaries(st.sampled_from(["a.txt", "in/b.txt", "c"]), inner, max_size=3)
)
PATHS = ("a.txt", "b", "sub/a.txt", "sub/deep/z.zip", "z.zip")


@st.composite
def before_and_after(draw: st.DrawFn) -> tuple[dict[str, Content], dict[str, Content]]:
    """
    What a folder holds, and what later: of each path the same, another content, nothing, or something new; renamed is
    gone here and new there.
    """
    before: dict[str, Content] = {}
    after: dict[str, Content] = {}
    for path in PATHS:
        how = draw(st.sampled_from(["same", "other", "gone", "new", "none"]))
        content = draw(CONTENTS)
        if how in ("same", "other", "gone"):
            before[path] = content
        if how in ("same", "new"):
            after[path] = content
        if how == "other":
            after[path] = draw(CONTENTS)
    return before, after


ALL_KINDS = (
    {
        "same.txt": "ANNA stays",
        "shorter.txt": "one\ntwo CLARA\nthree",
        "old/name.txt": "renamed",
        "gone/deep/gone.txt": "BORIS is gone",
        "kind": "a text\nof lines with DORA",
        "z.zip": {"stays.txt": "stays", "goes.txt": "goes", "in.zip": {"x.txt": "x", "y.txt": "EVA"}},
        "same.zip": {"a.txt": "in it"},
        "gone.zip": {"g.txt": "IDA", "in.zip": {"h.txt": "JULES"}},
        "turns": "KIM is in a file",
        "turns.zip": {"k.txt": "LEO"},
        "turned/in.txt": "MIA is in a folder",
    },
    {
        "same.txt": "ANNA stays",
        "shorter.txt": "one",
        "new/name.txt": "renamed",
        "kind": {"now": "an archive"},
        "z.zip": {"stays.txt": "stays", "comes.txt": "comes", "in.zip": {"x.txt": "other x"}},
        "same.zip": {"a.txt": "in it"},
        "added.txt": "ANNA again",
        "turns/in.txt": "NOA is in a folder",
        "turns.zip/k.txt": "LEO",
        "turned": "OLE is in a file",
    },
)


@law
@example(ALL_KINDS)
@given(before_and_after())
def test_a_second_run_does_what_changed_and_leaves_what_a_first_one_would_leave(house: House, states: Any) -> None:
    before, after = states
    house.put(before)
    house.run()
    house.put(after)

    second = house.run(prune=True)

    assert second.unchanged == sum(packed(after[name]) == packed(before[name]) for name in after if name in before)
    # A file in whose place there is a folder has changed.
    folders = {str(folder) for name in after for folder in Path(name).parents}
    assert second.gone == len(before.keys() - after.keys() - folders)
    left = house.holds()
    house.clear()
    house.run()
    fresh = house.holds()
    for here, there in zip(left, fresh, strict=True):
        assert [one for one in here if one not in there] == [one for one in there if one not in here] == []
    house.clear()


def test_where_a_stage_has_other_options_it_and_what_follows_runs_again_and_nothing_before_it(house: House) -> None:
    before, after = ALL_KINDS
    house.put(before)
    house.run()
    house.put(after)

    second = house.run(prune=True, params={"mark": ("marked",)})

    # With other bytes, or new.
    whole = {"added.txt", "kind", "new/name.txt", "shorter.txt", "turned", "turns/in.txt", "z.zip"}
    assert {name.partition("/")[2] for name in house.went_to("extract", second)} >= whole
    assert not {"same.txt", "same.zip", "a.txt"} & {Path(name).name for name in house.went_to("extract", second)}
    assert {"same.txt", "same.zip", "a.txt"} <= {Path(name).name for name in house.went_to("index", second)}
    assert house.why(second)["same.txt"] == "pipeline: lines changed"
    left = house.holds()
    again = house.run(params={"mark": ("marked",)})
    assert (again.unchanged, house.holds()) == (len(after), left)
    # Twice in a row: what it begins with is of two runs now.
    third = house.run(params={"mark": ("again",)})
    assert house.went_to("extract", third) == []
    # What stages have said that it does not come to any more goes, too.
    for mark in ("again", "nothing"):
        house.run(params={"mark": (mark,)})
        last = house.holds()
        assert ("it has come this far" in str(last)) is (mark == "again")
        house.clear()
        house.run(params={"mark": (mark,)})
        for here, there in zip(last, house.holds(), strict=True):
            assert [one for one in here if one not in there] == [one for one in there if one not in here] == []
    house.clear()
    with psycopg.connect(house.database) as connection:
        for table in ("steps", "arrived"):
            assert connection.execute(f"SELECT count(*) FROM oaflow.{table}").fetchone() == (0,)


@pytest.mark.parametrize("force", [False, True])
def test_what_does_not_come_to_the_index_any_more_is_not_found_any_more(
    house: House, tmp_path: Path, force: bool
) -> None:
    # Texts end before it, and archives do not; in the store there is all that they say.
    text = PIPELINE.format(name="twice").replace("next: index}", "next: {to: index, where: {schema: Email}}}")
    (tmp_path / "fewer.yml").write_text(text)
    fewer, other = load(locate(str(tmp_path / "fewer.yml"))), program_of(tmp_path, "other")
    house.put(ALL_KINDS[0])
    house.run()
    whole = house.holds()
    house.run(fewer, force=force)
    left = house.holds()
    assert left[0] == whole[0]
    assert "ANNA" in {row[1] for row in whole[1]}
    house.clear()
    house.run(fewer)
    assert left == house.holds()

    # What another pipeline has made findable stays so.
    house.run(other)
    both = house.holds()
    house.run()
    house.run(fewer, force=force)
    assert house.holds() == both


WHERES = {"schema": "where: {schema: Person}", "property": "where: \"not has(e.status, 'hidden')\""}
# A word in capitals that is the name of its file, and one that other files have, too; hidden or not. None: no file.
BESIDE = ("{name} hidden\nANNA", "ANNA\n{name}", "ANNA hidden\n{name}")
LINES = st.sampled_from((*BESIDE, "{name}", "{name} hidden", "ANNA", "ANNA hidden", "none", "\x00\x01", None))
SHIFTS = st.fixed_dictionaries(
    {path: st.tuples(LINES, LINES) for path in ("a.txt", "b.txt", "c.txt", "z/d.txt", "z/e.txt")}
)
ALL_SHIFTS = {
    "a.txt": ("{name}\nANNA", "{name} hidden"),
    "b.txt": ("{name} hidden", "{name}\nANNA"),
    "c.txt": ("{name}", "{name}"),
    # Each name is brought by one file, which says it no more or is gone, and kept from the index by one that stays.
    "d.txt": ("DORA\nEVA", "EVA"),
    "e.txt": ("FRED", None),
    "f.txt": (
        "DORA hidden\nFRED hidden\nGINA hidden\nHUGO hidden",
        "DORA hidden\nFRED hidden\nGINA hidden\nHUGO hidden",
    ),
    "z/g.txt": ("GINA\nHUGO", "HUGO"),
    "z/h.txt": ("GINA hidden", "GINA hidden"),
    "y/i.txt": ("DORA hidden\nGINA hidden", "DORA hidden\nGINA hidden"),
}


def shifted(shifts: Mapping[str, tuple[str | None, str | None]], state: int) -> dict[str, Content]:
    """
    The files of a state; what has a folder is in an archive of that name.
    """
    files: dict[str, Any] = {}
    for path, both in shifts.items():
        archive, slash, name = path.rpartition("/")
        if (line := both[state]) is not None:
            text = line.format(name=Path(path).stem.upper())
            files.setdefault(f"{archive}.zip", {}).update({name: text}) if slash else files.update({name: text})
    return files


def sifting(tmp_path: Path, name: str, where: str) -> Program:
    """
    A pipeline whose last edge to `index` lets only some entities through, and one that another has as well.
    """
    text = PIPELINE.format(name=name).replace("refused}, next: index}", f"refused}}, next: {{to: index, {where}}}}}")
    (tmp_path / f"{name}.yml").write_text(text)
    return load(locate(str(tmp_path / f"{name}.yml")))


@pytest.mark.parametrize("where", WHERES)
@law
@example(ALL_SHIFTS)
@given(SHIFTS)
def test_what_an_edge_keeps_from_the_index_is_found_only_as_a_first_run_would_leave_it(
    house: House, tmp_path: Path, where: str, shifts: dict[str, tuple[str | None, str | None]]
) -> None:
    program = sifting(tmp_path, "sifting", WHERES[where])
    house.put(shifted(shifts, 0))
    house.run(program)
    if where == "property" and shifts is ALL_SHIFTS:
        assert {"A", "ANNA", "C", "DORA", "FRED", "GINA", "HUGO"} <= {row[1] for row in house.holds()[1]}
    house.put(shifted(shifts, 1))
    house.run(program, prune=True)
    left = house.holds()
    if where == "property" and shifts is ALL_SHIFTS:
        names = {row[1] for row in left[1]} & {"A", "B", "C", "ANNA", "DORA", "EVA", "FRED", "GINA", "HUGO"}
        assert names == {"ANNA", "B", "C", "EVA", "HUGO"}
    house.clear()
    house.run(program)
    assert left == house.holds()
    house.clear()


def test_what_another_may_have_brought_to_the_index_stays_where_that_is_not_known(house: House, tmp_path: Path) -> None:
    program, other = sifting(tmp_path, "sifting", WHERES["property"]), program_of(tmp_path, "other")

    def found(files: Mapping[str, Content]) -> set[str]:
        house.put(files)
        house.run(program, prune=True)
        return {row[1] for row in house.holds()[1]} & {"ANNA", "BORIS"}

    both: dict[str, Content] = {"a.txt": "ANNA\nBORIS", "b.txt": "ANNA hidden\nBORIS"}
    assert found(both) == {"ANNA", "BORIS"}
    # How the jobs arrived is not kept for ever.
    with psycopg.connect(house.database, autocommit=True) as connection:
        connection.execute("DELETE FROM oaflow.arrived")
    assert found({**both, "a.txt": "none"}) == {"ANNA", "BORIS"}
    # A file that has failed may have brought them before.
    house.clear()
    assert found(both) == {"ANNA", "BORIS"}
    (tmp_path / "refused").touch()
    assert found({**both, "b.txt": "ANNA hidden\nBORIS refused"}) == {"ANNA", "BORIS"}
    assert found({"a.txt": "none", "b.txt": "ANNA hidden\nBORIS refused"}) == {"ANNA", "BORIS"}
    (tmp_path / "refused").unlink()
    # What another pipeline has brought is known as well: also where only that one has.
    assert found({"a.txt": "ANNA", "b.txt": "ANNA hidden"}) == {"ANNA"}
    house.run(other)
    assert found({"a.txt": "none", "b.txt": "ANNA hidden"}) == {"ANNA"}
    house.run(other)
    house.put({"b.txt": "ANNA hidden"})
    house.run(other, prune=True)
    assert found({"b.txt": "ANNA hidden"}) == {"ANNA"}
    house.put({"b.txt": "none"})
    house.run(other, prune=True)
    assert found({"b.txt": "ANNA hidden"}) == set()


def test_an_edge_that_is_new_before_the_index_leaves_what_another_pipeline_has(house: House, tmp_path: Path) -> None:
    wide, other = sifting(tmp_path, "sifting", ""), program_of(tmp_path, "other")
    house.put({"a.txt": "BORIS\nthe text", "b.txt": "BORIS"})
    house.run(wide)
    whole = house.holds()
    narrow = sifting(tmp_path, "sifting", WHERES["schema"])
    house.run(narrow)
    store, search = house.holds()
    assert ({row[1] for row in search}, store) == ({"BORIS"}, whole[0])
    house.run(wide)
    assert house.holds() == whole

    house.run(other)
    both = house.holds()
    house.run(narrow)
    assert house.holds() == both
    # Nor does it take out what comes again with another pipeline's text.
    house.run(other, force=True)
    assert house.holds()[1] == both[1]


def test_what_runs_again_beside_the_index_is_found_as_before(house: House, tmp_path: Path) -> None:
    text = PIPELINE.format(name="twice").replace("{to: index, else: true}", "index").replace(", next: index}", "}")
    (tmp_path / "beside.yml").write_text(text)
    beside = load(locate(str(tmp_path / "beside.yml")))
    house.put(ALL_KINDS[0])
    house.run(beside)
    store, search = house.holds()

    second = house.run(beside, params={"mark": ("marked",)})

    assert house.went_to("lines", second) != house.went_to("index", second) == []
    assert (house.holds()[0] != store, house.holds()[1]) == (True, search)


def test_a_run_whose_end_is_recorded_in_part_is_recorded_to_its_end_before_the_next(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(again, "_WAYS_AT_ONCE", 1)
    house.put({"a.txt": "one", "b.txt": "two", "c.zip": {"d.txt": "ANNA", "e.txt": "three"}})
    marked = "SELECT count(*) FROM oaflow.crawled WHERE done IS NOT NULL AND content_hash IS NOT NULL"
    with psycopg.connect(house.database, autocommit=True) as connection:
        connection.execute("""
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF (SELECT count(*) FROM oaflow.crawled WHERE done IS NOT NULL AND content_hash IS NOT NULL) = 1 THEN
                    RAISE EXCEPTION 'not this one';
                END IF;
                RETURN new;
            END $$;
            CREATE TRIGGER refuse BEFORE UPDATE OF done ON oaflow.crawled FOR EACH ROW
            WHEN (new.done IS NOT NULL AND new.content_hash IS NOT NULL) EXECUTE FUNCTION refuse()
        """)
        for _ in range(2):  # the run, and one after it, which is not begun
            with pytest.raises(psycopg.errors.RaiseException):
                house.run()
            assert connection.execute(marked).fetchone() == (1,)
            assert connection.execute("SELECT count(*) FROM oaflow.runs").fetchone() == (1,)
        connection.execute("DROP FUNCTION refuse CASCADE")

    second = house.run()
    assert (second.unchanged, house.why(second)) == (3, {})


def test_what_failed_changed_its_stage_or_is_forced_runs_again_and_says_why(house: House, tmp_path: Path) -> None:
    house.put({"a.txt": "fine", "b.txt": "this is refused", "c.zip": {"d.txt": "refused too", "e.txt": "ANNA"}})
    (tmp_path / "refused").touch()
    first = house.run()
    assert house.why(first) == {}  # nothing was known before
    (tmp_path / "refused").unlink()

    second = house.run()
    never = f"was not finished in {first.id}"
    assert (second.unchanged, house.why(second)) == (1, {"b.txt": never, "c.zip": never})
    assert house.run().unchanged == 3
    # Of a run that nobody followed to its end the next one finds out.
    with psycopg.connect(house.database, autocommit=True) as connection:
        connection.execute("UPDATE oaflow.runs SET settled = false")
        connection.execute("UPDATE oaflow.crawled SET done = NULL")
    assert house.run().unchanged == 3

    # Sent again and done counts as done.
    (tmp_path / "refused").touch()
    house.put({"a.txt": "fine", "b.txt": "refused again"})
    assert house.run(prune=True).gone == 1
    (tmp_path / "refused").unlink()
    for _ in running.retry(house.known, None, crew=Crew(house.known, 0)):
        pass
    assert house.run().unchanged == 2

    # What was done before, and failed when it was forced, is not done.
    (tmp_path / "refused").touch()
    forced = house.run(force=True)
    assert set(house.why(forced).values()) == {"--force"}
    (tmp_path / "refused").unlink()
    assert house.why(house.run()) == {"b.txt": f"was not finished in {forced.id}"}

    marked = house.run(params={"mark": ("seen",)})
    assert set(house.why(marked).values()) == {"pipeline: lines changed"}
    assert "fine seen" in str(house.holds()[1])


def test_a_folder_that_is_known_is_not_written_again_and_one_that_comes_back_is(house: House) -> None:
    both: Mapping[str, Content] = {"left/a.txt": "one", "sub/deep/b.txt": "two"}
    house.put(both)
    house.run()
    written = house.folders()
    assert [*written] == ["deep", "folder", "left", "sub"]

    house.run()
    assert house.folders() == written

    house.put({"left/a.txt": "one"})
    assert house.run(prune=True).gone == 1
    assert house.folders() == {name: written[name] for name in ("folder", "left")}
    house.put(both)
    house.run()
    back = house.folders()
    assert [*back] == [*written]
    assert {name for name in written if back[name] == written[name]} == {"folder", "left"}

    # Where it is not known to have been written, and by which code, it is.
    with psycopg.connect(house.database, autocommit=True) as connection:
        connection.execute("UPDATE oaflow.crawled SET done = NULL WHERE name = 'folder/left'")
        connection.execute("UPDATE oaflow.crawled SET done = '{crawl=old}' WHERE name = 'folder/sub'")
        connection.execute("UPDATE oaflow.crawled SET size = NULL")  # as an older program left it
    assert house.run().unchanged == 2
    with psycopg.connect(house.database) as connection:
        sizes = dict(connection.execute("SELECT name, size FROM oaflow.crawled").fetchall())
    assert {name: size for name, size in sizes.items() if size} == {"folder/left/a.txt": 3, "folder/sub/deep/b.txt": 3}
    again = house.folders()
    assert {name for name in written if again[name] == back[name]} == {"folder", "deep"}
    house.run(force=True)
    assert not set(house.folders().values()) & set(again.values())


def test_a_file_in_whose_place_a_link_is_now_is_gone(house: House) -> None:
    house.put({"a.txt": "ANNA", "b.txt": "b"})
    house.run()
    (house.folder / "a.txt").unlink()
    (house.folder / "a.txt").symlink_to("b.txt")

    assert house.run(prune=True).gone == 1
    assert "ANNA" not in str(house.holds())


@pytest.mark.parametrize("mark", ["", "marked"])
def test_a_second_run_whose_workers_are_killed_leaves_what_a_first_one_would_leave(house: House, mark: str) -> None:
    # With the mark what has not changed begins at a later stage.
    asked: dict[str, Any] = {"params": {"mark": (mark,)}}
    before: dict[str, Content] = {f"in/{number}.txt": f"text {number}" for number in range(120)}
    before |= {f"{number}.zip": {f"{inner}.txt": f"ANNA {inner}" for inner in range(6)} for number in range(4)}
    house.put(before)
    house.run()
    after = dict(before) | {f"in/{number}.txt": f"other text {number}\nANNA" for number in range(20, 60)}
    after |= {f"{number}.zip": {f"{inner}.txt": f"BORIS {inner}" for inner in range(3)} for number in range(3)}
    del after["in/0.txt"]
    house.put(after)
    killer = Thread(target=house.kill_workers, args=(4,))
    killer.start()

    second = house.run(prune=True, **asked)

    killer.join()
    assert house.kills > 0
    assert (second.state, second.unchanged, second.gone) == ("finished", 0 if mark else len(after) - 43, 1)
    assert not [why for why in house.why(second).values() if why and second.id in why]
    left = house.holds()
    house.clear()
    house.run(**asked)
    assert left == house.holds()


def test_two_pipelines_know_and_take_out_what_is_theirs(house: House, tmp_path: Path) -> None:
    other = program_of(tmp_path, "other")
    files: dict[str, Content] = {"a.txt": "both have ANNA", "z.zip": {"b.txt": "BORIS"}}
    house.put(files)
    house.run()
    assert house.run(other).unchanged == 0
    assert (house.run().unchanged, house.run(other).unchanged) == (2, 2)
    whole = house.holds()

    house.put({"a.txt": "both have ANNA"})
    assert house.run(prune=True).gone == 1

    store, search = house.holds()
    assert search == whole[1]  # the other one has not seen that it is gone
    assert {origin.partition("/")[0] for _, origin, _, _ in store if "BORIS" in str(store)} >= {"other"}
    assert house.run(other, prune=True).gone == 1
    assert "BORIS" not in str(house.holds())
    assert orjson.dumps(house.run().unchanged) == b"1"


def test_a_rerun_does_the_part_that_was_asked_for_and_replaces_what_it_wrote(house: House) -> None:
    files, _ = ALL_KINDS
    house.put(files)
    first = house.run()
    whole = house.holds()

    told, second = house.rerun(first, stage="lines", where="has(e.fileName, 'same.txt')")

    assert (told.chosen, told.first, told.after) == (1, {"lines": 1}, {"picky": 1, "index": 1})
    assert house.went_to("lines", second) == house.went_to("index", second) == ["folder/same.txt"]
    assert house.went_to("extract", second) == []
    assert house.why(second) == {"same.txt": f"rerun of {first.id}"}
    assert house.holds() == whole
    assert house.run().unchanged == len(files)

    # An archive whole, with all that is in it; and what a later run has had stays as that left it.
    told, third = house.rerun(first, stage="extract", where="has(e.fileName, 'z.zip')")
    assert told.first == {"extract": 1}
    assert len(house.went_to("extract", third)) == 6
    assert house.holds() == whole
    house.put({**files, "same.txt": "ANNA has gone"})
    house.run()
    later = house.holds()
    told, _ = house.rerun(first, stage="lines")
    assert told.newer > 0
    assert house.holds() == later
    assert house.run().unchanged == len(files)


def test_a_rerun_of_what_failed_leaves_what_a_run_without_failures_would_leave(house: House, tmp_path: Path) -> None:
    files: dict[str, Content] = {
        "a.txt": "fine",
        "b.txt": "refused ANNA",
        "c.zip": {"d.txt": "refused", "e.txt": "EVA"},
    }
    house.put(files)
    (tmp_path / "refused").touch()
    first = house.run()
    (tmp_path / "refused").unlink()

    told, second = house.rerun(first, failed=True)

    assert (told.first, told.documents) == ({"picky": 2}, 2)
    assert house.went_to("lines", second) == []
    assert house.run().unchanged == 3
    left = house.holds()
    house.clear()
    house.run()
    assert left == house.holds()
    with pytest.raises(UsageError, match="nothing of run"):
        house.rerun(house.run(force=True), failed=True)


def test_two_pipelines_on_one_dataset_leave_each_others_as_it_is_in_either_order(house: House, tmp_path: Path) -> None:
    other = program_of(tmp_path, "other")
    before: dict[str, Content] = {"a.txt": "ANNA is in both", "b.txt": "one", "z.zip": {"c.txt": "BORIS", "d.txt": "d"}}
    # Not with other texts: what a stage loads is what both say of it.
    after: dict[str, Content] = {"a.txt": "ANNA is in both", "z.zip": {"c.txt": "BORIS"}, "new.txt": "new"}
    marked: dict[str, Any] = {"params": {"mark": ("marked",)}}

    def said_by(name: str) -> list[Any]:
        return [row for row in house.holds()[0] if row[1].startswith(f"{name}/")]

    both: list[Any] = []
    for (first, mine), (second, theirs) in (((None, "twice"), (other, "other")), ((other, "other"), (None, "twice"))):
        house.put(before)
        house.run(first)
        alone = said_by(mine)
        ran = house.run(second)
        assert said_by(mine) == alone
        both.append(house.holds())
        known = said_by(theirs)
        house.rerun(ran, stage="lines")
        assert house.holds() == both[-1]
        house.put(after)
        house.run(first, prune=True, **marked)
        assert said_by(theirs) == known != []
        house.run(second, prune=True, **marked)
        left = house.holds()
        house.clear()
        for program in (first, second):
            house.run(program, **marked)
        assert house.holds() == left
        house.clear()
    for store, _ in both:
        for *_, data in store:
            data["properties"].pop("modifiedAt", None)  # the files were written twice
    assert both[0] == both[1]
