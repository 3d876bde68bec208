"""
Functions are looked at in a real child process: what hangs, dies or prints there is what is tested. It is a new
interpreter as for users, but where only what it says of a module is asked: that is a fork of one that has imported the
program, with 0.04 s of CPU in place of 0.26.
"""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from oaflow.compiler import check_declared, functions
from oaflow.compiler.functions import Inspected, InspectionError, Inspector, Parameter, import_folders
from oaflow.compiler.named import load_pipeline
from oaflow.errors import UsageError
from oaflow.model import Retry, StageOptions
from tests.warm import Warm

DATASET_JOB = ("oaflow.jobs.models:DatasetJob", "oaflow.jobs.models:Job", "pydantic.main:BaseModel")

GOOD = """
    from __future__ import annotations

    import sys
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from oaflow import DatasetJob, Out, stage

    print("noise on stdout" * 1000)
    print("noise on stderr" * 1000, file=sys.stderr)

    @stage(queue="heavy", retry={"max": 2}, ports=("default", "children"))
    def extract(
        job: DatasetJob, depth: int = 3, *, source: list[str], kind: "str | None" = None, **more
    ) -> Iterator[DatasetJob | Out]:
        '''Read the text of a file.

        And more.
        '''
        yield job

    @stage
    async def index(job: "Unknown") -> None: ...

    @stage
    async def flow(job, path: Path) -> AsyncIterator[DatasetJob]:
        yield job

    def plain(job): ...

    number = 3

    class Klass: ...
"""


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """
    Writes modules into the current folder, which is a new one. There `python` is the one that oaflow runs in.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable), prepend=os.pathsep)

    def write(**sources: str) -> Path:
        for name, source in sources.items():
            (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        return tmp_path

    return write


@pytest.fixture
def forks(monkeypatch: pytest.MonkeyPatch, warm: Warm) -> None:
    monkeypatch.setattr(functions, "subprocess", warm.looking())


forked = pytest.mark.usefixtures("forks")


def inspect(*tasks: str, limit: float = 30.0, folders: tuple[Path, ...] | None = None):
    return Inspector(import_folders() if folders is None else folders, limit)(tasks)


def test_a_function_says_what_it_takes_and_gives_whatever_its_module_prints(modules, capfd):
    folder = modules(good=GOOD)

    found = inspect("good.extract")["good.extract"]

    assert found == Inspected(
        options=StageOptions(queue="heavy", retry=Retry(max=2), ports=("default", "children")),
        is_generator=True,
        parameters=(
            Parameter("job", required=True, annotation="DatasetJob"),
            Parameter("depth", annotation="int"),
            Parameter("source", required=True, kind="keyword", annotation="list[str]"),
            Parameter("kind", kind="keyword", annotation="str | None"),
            Parameter("more", kind="**"),
        ),
        returns="Iterator[DatasetJob | Out]",
        doc="Read the text of a file.",
        file=str(folder / "good.py"),
        line=found.line,
        taken_classes=(DATASET_JOB,),
        returned_classes=(DATASET_JOB,),
    )
    assert found.is_annotated
    assert found.options.retry.model_fields_set == {"max"}
    assert capfd.readouterr() == ("", "")


@forked
def test_an_annotation_that_cannot_be_resolved_stands_as_written(modules):
    modules(good=GOOD)

    found = inspect("good.index", "good.flow")

    assert found["good.index"].parameters == (Parameter("job", required=True, annotation="Unknown"),)
    assert (found["good.index"].is_async, found["good.index"].is_generator) == (True, False)
    assert (found["good.flow"].is_async, found["good.flow"].is_generator) == (True, True)
    assert found["good.flow"].parameters[1].annotation == f"{Path.__module__}.Path"  # pathlib._local in Python 3.13
    assert (found["good.index"].taken_classes, found["good.flow"].taken_classes) == (None, None)
    assert (found["good.index"].is_annotated, found["good.flow"].is_annotated) == (True, False)


@forked
@pytest.mark.parametrize(
    ("task", "problem", "detail"),
    [
        ("good.plain", "undecorated", ""),
        ("good.number", "not-callable", "it is of type int"),
        ("good.Klass", "not-callable", "it is of type class"),
        ("good.sys", "not-callable", "it is of type module"),
        ("good.extrac", "no-function", ""),
        ("goood.extract", "no-module", "no module is named 'goood'"),
        ("good.inner.extract", "no-module", "no module is named 'good.inner'"),
        ("extract", "no-module", "'extract' names no module"),
    ],
)
def test_what_is_no_stage_function_is_told_by_kind(modules, task, problem, detail):
    modules(good=GOOD)

    found = inspect(task)[task]

    assert (found.problem, found.detail) == (problem, detail)


@forked
def test_the_names_that_are_there_are_known_decorated_functions_first(modules):
    modules(good=GOOD)

    assert inspect("good.extrac")["good.extrac"].known[:3] == ("extract", "flow", "index")
    assert "good" in inspect("goood.f")["goood.f"].known


@forked
@pytest.mark.parametrize(
    ("source", "detail"),
    [
        ("\nraise ValueError('two\\nlines')", "ValueError: two lines (bad.py:2)"),
        ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found' (bad.py:1)"),
        ("def f(:\n", "SyntaxError: invalid syntax (bad.py:1)"),
        ("import sys\nsys.exit(3)", "SystemExit: 3 (bad.py:2)"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt (bad.py:1)"),
        (
            "from oaflow import stage\n@stage(timeout='soon')\ndef f(job): ...",
            "'timeout' of @stage of bad.f is 'soon', but must be a duration above 0, like 30m or 1.5s (bad.py:2)",
        ),
    ],
)
def test_an_import_that_raises_is_told_in_one_line_with_its_place(modules, source, detail):
    modules(bad=source)

    found = inspect("bad.f")["bad.f"]

    assert (found.problem, found.detail) == ("import-failed", detail)


@forked
def test_a_module_that_the_authors_module_misses_is_told_with_where_to_install_it(modules):
    modules(bad="import nowhere_to_be_found")

    help = inspect("bad.f")["bad.f"].help

    assert help.startswith("put 'nowhere_to_be_found' beside 'bad', or install it where oaflow is installed: ")
    assert help.endswith("python -m pip install ...")


@forked
def test_a_relative_import_of_a_module_in_no_package_is_told_to_be_without_its_dot(modules):
    modules(bad="from .helpers import one")

    assert inspect("bad.f")["bad.f"].help == "remove the dot after `from`: 'bad' is not in a package"


@forked
def test_a_file_that_was_named_in_place_of_a_module_is_told_by_the_modules_name(modules):
    modules(good=GOOD)

    assert inspect("good.py.extract")["good.py.extract"].help == "write 'good.extract'"


@forked
def test_what_imports_a_module_by_hand_can_be_typed_as_it_stands(modules, monkeypatch):
    folder = modules()
    place = folder / "of a module"
    place.mkdir()
    (place / "bad.py").write_text("raise ValueError('no')")
    (place / "exits.py").write_text("import sys, os\nprint('over', file=sys.stderr, flush=True)\nos._exit(7)")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")

    found = inspect("bad.f", "exits.f", folders=import_folders(place / "some.yml"))

    for name, said in (("bad.f", "ValueError: no"), ("exits.f", "over")):
        assert found[name].help.startswith("PYTHONPATH='of a module' /")
        shown = subprocess.run(found[name].help, shell=True, cwd=folder, capture_output=True, text=True)
        assert said in shown.stderr
        assert "ModuleNotFoundError" not in shown.stderr


@forked
@pytest.mark.parametrize(
    ("place", "task", "help"),
    [
        ("text/mine.py", "mine.extract", "it is in text: write 'text.mine.extract'"),
        ("a/b/mine.py", "mine.extract", "it is in a/b: write 'a.b.mine.extract'"),
        ("a/b/mine.py", "a.mine.extract", "it is in a/b: write 'a.b.mine.extract'"),
        ("a/b/mine/__init__.py", "mine.extract", "it is in a/b: write 'a.b.mine.extract'"),
        ("my stages/mine.py", "mine.extract", "it is in 'my stages': export PYTHONPATH='my stages'"),
        (
            "my stages/mine.py",
            "a.mine.extract",
            "it is in 'my stages': export PYTHONPATH='my stages', and write 'mine.extract'",
        ),
        (".hidden/mine.py", "mine.extract", ""),
        ("a/b/c/d/mine.py", "mine.extract", ""),
    ],
)
def test_what_lies_in_a_folder_below_is_told_with_what_to_type(modules, monkeypatch, place, task, help):
    file = modules(mined=GOOD) / place
    file.parent.mkdir(parents=True)
    file.write_text(textwrap.dedent(GOOD))

    assert inspect(task)[task].help == help
    if "PYTHONPATH" in help:
        monkeypatch.syspath_prepend(file.parent)
    written = help.partition("write ")[2].strip("'") or task
    assert isinstance(inspect(written)[written], Inspected) is bool(help)


@forked
@pytest.mark.parametrize("place", ["mine.py", "mine/__init__.py"])
def test_what_lies_in_a_folder_src_is_told_with_what_to_type(modules, place):
    file = modules() / "src" / place
    file.parent.mkdir(parents=True)
    file.write_text(GOOD)

    assert inspect("mine.extract")["mine.extract"].help == (
        "it is in src: export PYTHONPATH=src, or python -m pip install -e ."
    )
    # Also from a pipeline in a folder of its own.
    (Path.cwd() / "pipelines").mkdir()
    folders = import_folders(Path("pipelines/mine.yml"))
    assert "it is in src:" in inspect("mine.inner.f", folders=folders)["mine.inner.f"].help


@forked
def test_a_wrong_declaration_says_what_to_write_and_not_to_import_it_again(modules):
    modules(bad="from oaflow import Pipeline, stage\n@stage\ndef f(job): ...\np = Pipeline('p', stages={'f': f})")

    found = inspect("bad.f")["bad.f"]
    with pytest.raises(UsageError, match="stage 'f' of the pipeline is of type function") as caught:
        load_pipeline("bad:p")

    assert isinstance(found, InspectionError)
    assert (found.problem, found.help, caught.value.help) == (
        "import-failed",
        "write f.stage(...)",
        "write f.stage(...)",
    )


@pytest.mark.parametrize(
    ("source", "detail"),
    [
        ("import os\nos._exit(7)", "its import exited with status 7"),
        ("import os, sys\nprint('last words', file=sys.stderr, flush=True)\nos._exit(1)", "(last words)"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "its import was killed by SIGSEGV"),
    ],
)
def test_a_module_that_ends_the_process_costs_only_its_own_functions(modules, source, detail):
    modules(good=GOOD, bad=source)

    found = inspect("good.index", "bad.f", "bad.g", "good.extract")

    assert found["bad.f"] == found["bad.g"]
    assert found["bad.f"].problem == "died"
    assert detail in found["bad.f"].detail
    assert isinstance(found["good.index"], Inspected)
    assert isinstance(found["good.extract"], Inspected)


def test_a_module_that_never_returns_is_given_up_and_what_it_started_ends_with_it(modules):
    folder = modules(
        good=GOOD,
        hangs="""
            import os, subprocess, time
            child = subprocess.Popen(["sleep", "600"])
            open("pids", "w").write(f"{os.getpid()} {child.pid}")
            time.sleep(600)
        """,
    )

    # A busy machine takes longer than 3 s to begin.
    for limit in (3, 30):
        found = inspect("hangs.f", "good.index", limit=limit)
        if (folder / "pids").exists():
            break

    assert found["hangs.f"] == InspectionError(
        "timeout", f"its import took longer than {limit} s", help="python -c 'import hangs'"
    )
    assert isinstance(found["good.index"], Inspected)
    for pid in (folder / "pids").read_text().split():
        assert ended(int(pid))


def ended(pid: int) -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def test_threads_and_exit_hooks_of_a_module_are_not_waited_for(modules):
    modules(
        slow="""
            import atexit, threading, time
            from oaflow import stage

            threading.Thread(target=time.sleep, args=(600,)).start()
            atexit.register(time.sleep, 600)

            @stage
            def f(job): ...
        """
    )

    assert isinstance(inspect("slow.f", limit=20)["slow.f"], Inspected)


@forked
def test_a_task_of_procrastinate_is_no_stage(modules):
    modules(
        tasks="""
            from procrastinate import App
            from procrastinate.testing import InMemoryConnector

            from oaflow import app, task

            other = App(connector=InMemoryConnector())

            @other.task
            def f(job): ...

            @task(app=app)
            def g(job): ...
        """
    )

    assert [answer.problem for answer in inspect("tasks.f", "tasks.g").values()] == ["task", "task"]


def test_modules_are_found_beside_the_pipeline_file_and_above_it(modules, tmp_path, monkeypatch):
    project = modules(good=GOOD)
    (project / "pipelines").mkdir()
    (project / "pipelines" / "beside.py").write_text(textwrap.dedent(GOOD))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    found = inspect("good.index", "beside.index", folders=import_folders(project / "pipelines" / "p.yml"))

    assert all(isinstance(answer, Inspected) for answer in found.values())


def test_a_file_in_the_current_folder_named_like_a_library_does_no_harm_to_the_question_itself(modules):
    modules(good=GOOD, json="raise ValueError", inspect="raise ValueError")

    assert isinstance(inspect("good.index")["good.index"], Inspected)


def test_the_asking_process_imports_nothing_of_the_author(modules):
    modules(good=GOOD)
    program = """
        import sys
        from oaflow.compiler.functions import Inspector, import_folders
        Inspector(import_folders())(("good.extract",))
        heavy = ("good", "followthemoney", "procrastinate", "oaflow.jobs")
        print([name for name in heavy if name in sys.modules])
    """
    answer = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )

    assert answer.stdout.strip() == "[]"


# --- pipelines by name ---

PIPELINE = """
    from good import extract
    from oaflow import Pipeline

    ingest = Pipeline("ingest", stages={"extract": extract.stage(with_={"source": ["a"]})})
"""


@forked
def test_a_pipeline_in_python_is_handed_over_as_the_data_of_a_file(modules):
    folder = modules(good=GOOD, flows=PIPELINE)

    found = load_pipeline("flows:ingest")

    assert found.data == {
        "pipeline": "ingest",
        "stages": {"extract": {"task": "good.extract", "with": {"source": ["a"]}}},
    }
    assert [(path, place[:2]) for path, place in found.placed.items()] == [
        ((), (str(folder / "flows.py"), 5)),
        (("stages", "extract"), (str(folder / "flows.py"), 5)),
    ]


@forked
@pytest.mark.parametrize(
    ("name", "sentence", "help"),
    [
        ("flows:ingst", "module 'flows' has no 'ingst'", "did you mean 'ingest'?"),
        ("flows:other", "module 'flows' has no 'other'", "its pipelines are: ingest"),
        ("flows:extract", "'flows:extract' is not a pipeline: it is of type function", "its pipelines are: ingest"),
        ("flow:ingest", "pipeline 'flow:ingest' cannot be found: no module is named 'flow'", "did you mean 'flows'?"),
        ("flows:", "'flows:' names no pipeline in Python", "write module:name, as in examples.words:pipeline"),
        ("bad:p", r"module 'bad' cannot be imported: ValueError: no \(bad.py:1\)", "python -c 'import bad'"),
        ("exits:p", "module 'exits' cannot be imported: its import exited with status 7", "python -c 'import exits'"),
    ],
)
def test_a_pipeline_that_is_not_there_says_what_is(modules, name, sentence, help):
    modules(good=GOOD, flows=PIPELINE, bad="raise ValueError('no')", exits="import os\nos._exit(7)")

    with pytest.raises(UsageError, match=sentence) as caught:
        load_pipeline(name)

    assert caught.value.help == help


@forked
def test_a_pipeline_that_a_module_reads_from_a_file_has_the_places_of_the_file(modules):
    folder = modules(read="from oaflow import Pipeline\n\nletters = Pipeline.from_yaml('letters.yml')\n")
    (folder / "letters.yml").write_text("pipeline: letters\nstages:\n  read: {task: m.read, next: nobody}\n")

    found = load_pipeline("read:letters")

    (one,) = check_declared(found.data, found.spans).diagnostics
    assert (one.code, one.span.file, one.span.line, one.span.column) == ("OAF201", "letters.yml", 3, 30)


@forked
def test_the_ports_that_a_function_names_are_read_from_its_source(modules):
    source = """
        from oaflow import Job, stage
        from oaflow import Out as Sent

        def Out(port, job): ...

        @stage(
            ports=("a", "b"),
        )
        async def named(job: Job):
            yield Sent("é", job), Sent(port="b", job=job)
            yield [Sent("c", job) for _ in ()], Sent(job.queue, job), Out("none", job)

        @stage
        def silent(job: Job):
            return job

        made = stage(lambda job: Sent("e", job))
    """
    local = """
        from oaflow import Job, stage

        @stage
        def local(job: Job):
            from oaflow import Out
            return (lambda: Out("d", job))()
    """
    modules(outs=source, bare=local)

    found = inspect("outs.named", "outs.silent", "outs.made", "bare.local")

    assert [[port for port, _ in found[f"outs.{name}"].outs] for name in ("named", "silent", "made")] == [
        ["é", "b", "c"],
        [],
        [],
    ]
    assert [port for port, _ in found["bare.local"].outs] == ["d"]
    span = found["outs.named"].outs[0][1]
    assert (span.file, span.line, span.source[span.column - 1 : span.end_column - 1]) == ("outs.py", 11, '"é"')


@forked
def test_a_function_in_a_class_is_told_as_such_and_not_as_a_module_that_is_missing(modules):
    modules(
        held="""
        from oaflow import Job, stage

        class Keeper:
            @stage
            def keep(self, job: Job) -> None: ...
        """
    )

    found = inspect("held.Keeper.keep", "held.Nobody.keep")

    inside, nowhere = found["held.Keeper.keep"], found["held.Nobody.keep"]
    assert isinstance(inside, InspectionError)
    assert isinstance(nowhere, InspectionError)
    assert inside.detail == "'held.Keeper' is a class, but workers look for functions in modules"
    assert inside.help == "move the function to the top level of its module"
    assert nowhere.detail == "no module is named 'held.Nobody'"


def test_a_file_that_a_module_of_python_hides_is_told_as_such(modules):
    modules(json="from oaflow import stage\n@stage\ndef read(job): ...", letters="x = 1\n")

    found = inspect("json.read", "letters.read")

    assert found["json.read"].help == "json.py is hidden by a module of that name: rename the file"
    assert found["letters.read"].help == ""


@forked
def test_a_module_whose_names_are_made_up_when_they_are_asked_for_costs_only_itself(modules):
    modules(
        raises="def __getattr__(name): raise ValueError('no ' + name)",
        gives="from oaflow import stage\n@stage\ndef read(job): ...\ndef __getattr__(name): return read",
    )

    found = inspect("raises.read", "gives.other", "gives.read")

    assert found["raises.read"] == InspectionError("no-function", "ValueError: no read (raises.py:1)")
    assert isinstance(found["gives.other"], Inspected)
    assert isinstance(found["gives.read"], Inspected)


CHECKED = """
    from __future__ import annotations

    import typing
    from typing import TYPE_CHECKING

    from oaflow import DatasetJob, Out, stage

    if TYPE_CHECKING:
        import kinds.more
        import kinds.most
        from collections.abc import Iterator as Several

        import stops_here
        from kinds import Page, Sound as Noise
        from nowhere_to_be_found import Gone

        Pages = Several[Page]

    if typing.TYPE_CHECKING:
        class Local(Page): ...

    @stage(ports=("default", "noise"))
    def read(job: Later) -> Several[Page | Out[Noise]]: ...

    @stage
    def again(job: Gone) -> Pages: ...

    @stage
    def more(job: kinds.more.Sheet) -> kinds.most.Sheet: ...

    @stage
    def local(job: Local) -> stops_here.Page: ...

    class Later(DatasetJob): ...
"""


def test_classes_that_are_imported_for_a_type_checker_only_are_known(modules):
    folder = modules(checked=CHECKED, stops_here="raise SystemExit('not to be imported here')")
    (folder / "kinds").mkdir()
    for name in ("__init__", "more", "most"):
        kinds = "class Page(DatasetJob): ...\nclass Sound(DatasetJob): ...\nclass Sheet(Page): ...\n"
        (folder / "kinds" / f"{name}.py").write_text(f"from oaflow import DatasetJob\n{kinds}")

    found = inspect("checked.read", "checked.again", "checked.more", "checked.local")

    def classes(name: str) -> list[str | None]:
        one = found[f"checked.{name}"]
        sides = (one.taken_classes, one.returned_classes, one.sent_classes)
        return [None if side is None else " ".join(lineage[0] for lineage in side) for side in sides]

    assert classes("read") == ["checked:Later", "kinds:Page", "kinds:Sound"]
    assert classes("again") == [None, "kinds:Page", ""]
    assert classes("more") == ["kinds.more:Sheet", "kinds.most:Sheet", ""]
    assert classes("local") == ["checked:Local", None, None]


def test_what_is_imported_for_a_type_checker_and_no_annotation_names_is_not_imported(modules):
    folder = modules(
        notes="open('imported', 'w')",
        checked="""
            from typing import TYPE_CHECKING
            from oaflow import Job, stage
            if TYPE_CHECKING:
                import notes
                from notes import Note

            @stage
            def read(job: Job) -> None:
                note: Note = Note()
        """,
    )

    assert isinstance(inspect("checked.read")["checked.read"], Inspected)
    assert not (folder / "imported").exists()
