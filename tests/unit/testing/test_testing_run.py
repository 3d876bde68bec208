"""
Pipelines that are run in memory, from a test.
"""

import logging
import math
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from oaflow import DatasetJob, Out, Pipeline, Reject, external, recurse, stage, testing
from oaflow.errors import UsageError
from oaflow.jobs import Job
from oaflow.plan import Plan
from oaflow.runtime import attempt
from oaflow.stages import index as makes_findable
from oaflow.stages import report
from oaflow.testing.shelf import Shelf


@stage
def names(job: DatasetJob, *, count: int = 3) -> Iterator[DatasetJob]:
    """Name so many documents."""
    for number in range(count):
        job.found(f"d{number}", f"{number}.txt")
        yield job.with_entities([{"id": f"d{number}", "schema": "Document"}])


@stage(ports=("default", "inner"))
async def unpack(job: DatasetJob) -> AsyncIterator[DatasetJob | Out]:
    yield job
    yield Out("inner", job.with_entities([{"id": f"{job.documents[0]}/in", "schema": "Document"}]))


@stage(retry={"max": 2, "base": "10h"})
def fails(job: DatasetJob, *, on: list[str]) -> DatasetJob:
    if job.documents[0] in on:
        raise ValueError(f"no {job.documents[0]}")
    return job


@stage
def keep(job: DatasetJob) -> DatasetJob:
    with job.get_writer() as writer:
        for entity in job.get_entities():
            entity.add("summary", f"one of {len(job.entities)}")
            writer.add(entity)
    return job


@stage
def index(job: DatasetJob) -> None:
    from oaflow.jobs import current

    current().entities.index(job.dataset, job.load_entities())


@stage
def rejects(job: DatasetJob) -> None:
    raise Reject("never")


@stage
def errs(job: DatasetJob, *, how: str) -> DatasetJob:
    with job.get_writer() as writer:
        match how:
            case "schema":
                writer.add({"id": "a", "schema": "Persn"})
            case "schemata":
                for schema in ("Person", "Vessel"):
                    writer.add({"id": "a", "schema": schema})
            case "id":
                writer.add({"schema": "Person"})
            case "value":
                writer.add({"id": "a", "schema": "Person", "properties": {"name": ["a\0"]}})
            case _:
                return job.model_copy(update={"no_field": 1})
    return job


@stage
def defers(job: DatasetJob) -> None:
    Job(queue="mail", task="mail.send").defer()


@stage
def logs(job: DatasetJob) -> None:
    for name in (__name__, "of_others"):
        logging.getLogger(name).info("a step")
        logging.getLogger(name).warning("a trap")


@stage
def stops(job: DatasetJob) -> None:
    raise KeyboardInterrupt


@stage
def looks(job: DatasetJob) -> DatasetJob:
    return job.with_entities([], home=os.environ.get("OAFLOW_HOME"), temp=str(Path.cwd()))


_tries: list[int] = []


@stage(emit="stream", retry={"max": 1, "base": "1h"})
def breaks_off(job: DatasetJob) -> Iterator[DatasetJob]:
    """Yields 1,200, and breaks off the first time behind 1,100."""
    _tries.append(0)
    for number in range(1200):
        _tries[-1] += 1
        if number == 1100 and len(_tries) == 1:
            raise OSError("cut")
        yield job.with_entities([{"id": f"n{number}", "schema": "Document"}])


def ids(jobs: list[Job | DatasetJob]) -> list[list[str]]:
    return [list(job.documents) for job in jobs]


def test_jobs_go_along_the_edges_and_what_came_of_them_is_told():
    pipeline = Pipeline(
        "p",
        stages={
            "names": names.stage(with_={"count": 5}, next=["keep", {"to": "other", "when": "job.context.x"}]),
            "keep": keep.stage(collect=2, next="index"),
            "other": keep.stage(),
            "index": index.stage(split=1),
        },
    )

    ran = testing.run(pipeline)

    assert ran.found("names") == {"keep": 5}
    assert ran.taken == {("names", "default", "keep"), ("keep", "default", "index")}
    assert ids(ran.received("keep")) == [["d0", "d1"], ["d2", "d3"], ["d4"]]
    assert ids(ran.received("index")) == [["d0"], ["d1"], ["d2"], ["d3"], ["d4"]]
    assert ran.received("other") == []
    assert ran.stages["index"] == {"done": 5, "failed": 0, "unmatched": 0, "dropped": 0, "ended": 0, "diverted": 0}
    assert ran.entities["d4"].get("summary") == ["one of 1"]
    assert ran.findable == ("d0", "d1", "d2", "d3", "d4")
    assert [note.document for note in ran.notes] == ["d0", "d1", "d2", "d3", "d4"]
    assert str(ran).splitlines()[1:] == [
        "  names: 1 done",
        "    default: 5 to keep",
        "  keep: 3 done",
        "    default: 5 to index",
        "  other: nothing",
        "  index: 5 done",
    ]


@pytest.mark.parametrize(
    "given",
    [
        {"entities": [{"id": "a", "schema": "Document"}], "context": {"x": 1}},
        DatasetJob.from_entities("books", "any", "any", [{"id": "a", "schema": "Document"}], x=1),
    ],
)
def test_the_first_jobs_are_given_as_jobs_or_as_in_the_tests_of_a_pipeline(given):
    ran = testing.run(Pipeline("p", stages={"keep": keep.stage()}), [given], dataset="books")

    (job,) = ran.received("keep")
    assert (job.dataset, job.task, ids([job]), job.context) == ("books", f"{__name__}.keep", [["a"]], {"x": 1})
    assert ran.stages["keep"]["ended"] == 1


def test_entities_of_the_first_jobs_are_in_the_store_as_those_of_a_run_with_input():
    ran = testing.run(Pipeline("p", stages={"index": index.stage()}), [[{"id": "a", "schema": "Document"}]])

    assert ran.findable == ("a",)


def test_what_fails_is_repeated_without_a_wait_and_then_goes_to_on_error_or_under_failures():
    began = time.monotonic()
    for on_error, outcome in (("keep", "diverted"), (None, "failed")):
        stages = {"names": names.stage(next="fails"), "fails": fails.stage(with_={"on": ["d1"]}, on_error=on_error)}
        ran = testing.run(Pipeline("p", stages={**stages, **({"keep": keep.stage()} if on_error else {})}))

        told = [(one.outcome, one.error) for one in ran.attempts if one.job.documents == ("d1",) and one.error]
        assert told == [("retried", "ValueError: no d1")] * 2 + [(outcome, "ValueError: no d1")]
        assert ran.stages["fails"][outcome] == 1
        assert [(one.stage, one.type, one.message, one.attempts, one.documents) for one in ran.failures] == (
            [] if on_error else [("fails", "ValueError", "no d1", 3, ("d1",))]
        )
        assert len(ran.received("fails")) == 3
    assert time.monotonic() - began < 60


def test_the_stage_for_what_has_failed_gets_the_job_with_the_reason():
    stages = {"rejects": rejects.stage(on_error="keep"), "keep": keep.stage()}
    ran = testing.run(Pipeline("p", stages=stages), [[{"id": "a", "schema": "Document"}]])

    assert ran.found("rejects", "on_error") == {"keep": 1}
    (job,) = ran.received("keep")
    assert job.context["error"] == {"stage": "rejects", "type": "Reject", "message": "never", "attempts": 1}


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ("schema", "UnknownSchemaError"),
        ("schemata", "ConflictingSchemaError"),
        ("id", "MissingIdError"),
        ("value", "ForbiddenValueError"),
        ("field", "UnknownFieldError"),
    ],
)
def test_what_the_author_has_got_wrong_in_a_job_or_an_entity_is_not_tried_again(how: str, kind: str):
    ran = testing.run(
        Pipeline("p", stages={"errs": errs.stage(with_={"how": how})}), [[{"id": "d", "schema": "Document"}]]
    )

    assert [(one.type, one.attempts) for one in ran.failures] == [(kind, 1)]


def test_what_lies_too_deep_is_under_failures_and_async_stages_run_in_a_loop_of_their_own():
    stages = {
        "names": names.stage(with_={"count": 1}, next="unpack"),
        "unpack": unpack.stage(next={"default": "keep", "inner": recurse("unpack", 2)}),
        "keep": keep.stage(),
    }

    ran = testing.run(Pipeline("p", stages=stages))

    assert ids(ran.received("unpack")) == [["d0"], ["d0/in"], ["d0/in/in"]]
    assert [(one.stage, one.type, one.job) for one in ran.failures] == [("unpack", "TooDeep", None)]
    assert ran.stages["unpack"] == {"done": 3, "failed": 1, "unmatched": 0, "dropped": 0, "ended": 0, "diverted": 0}


async def run_within_a_loop():
    return testing.run(Pipeline("p", stages={"names": names.stage(next="unpack"), "unpack": unpack.stage()}))


def test_a_run_may_stand_in_an_async_test():
    import asyncio

    assert len(asyncio.run(run_within_a_loop()).received("unpack")) == 3


def test_a_join_comes_last_and_is_told_what_has_failed():
    stages = {
        "names": names.stage(next="fails"),
        "fails": fails.stage(with_={"on": ["d1"]}, retry=0),
        "report": keep.stage(join="run"),
    }

    ran = testing.run(Pipeline("p", stages=stages))

    assert ran.attempts[-1].stage == "report"
    assert ran.attempts[-1].job.context == {"run": {"id": ran.run, "round": 1, "failed": 1}}


def test_two_stages_that_collect_in_one_circle_wait_for_the_clock_which_jumps():
    stages = {
        "names": names.stage(with_={"count": 2}, next="one"),
        "one": keep.stage(collect={"size": 10, "wait": "1h"}, next="two"),
        "two": keep.stage(collect={"size": 10, "wait": "1h"}, next=recurse("one", 1)),
    }

    ran = testing.run(Pipeline("p", stages=stages))

    assert [one.stage for one in ran.attempts] == ["names", "one", "two", "one", "two"]


@stage
def pairs(job: DatasetJob, *, sizes: list[int]) -> Iterator[DatasetJob]:
    """Jobs of so many entities."""
    for number, size in enumerate(sizes):
        yield job.with_entities([{"id": f"{number}-{one}", "schema": "Document"} for one in range(size)])


def test_a_collected_job_holds_no_more_than_its_size():
    stages = {"pairs": pairs.stage(with_={"sizes": [2, 2, 1, 3]}, next="keep"), "keep": keep.stage(collect=3)}

    ran = testing.run(Pipeline("p", stages=stages))

    assert [len(one.entities) for one in ran.received("keep")] == [2, 3, 3]


@pytest.mark.timeout(30)  # a clock that stands still goes on for ever
def test_what_waits_long_enough_is_put_together_though_more_can_come():
    stages = {
        "names": names.stage(with_={"count": 3}, next="fails"),
        "fails": fails.stage(
            with_={"on": ["d1"]}, retry={"max": 1, "base": "10h", "cap": "10h"}, on_error="keep", next="keep"
        ),
        "keep": keep.stage(collect={"size": 10, "wait": "1h"}),
    }

    ran = testing.run(Pipeline("p", stages=stages))

    assert ids(ran.received("keep")) == [["d0", "d2"], ["d1"]]
    assert [one.stage for one in ran.attempts] == ["names", "fails", "fails", "fails", "keep", "fails", "keep"]


@stage(retry=0)
def one_by_one(job: DatasetJob) -> None:
    if len(job.documents) > 1:
        raise ValueError(f"{len(job.documents)} at once")


def test_a_collected_job_that_fails_is_taken_apart():
    stages = {"names": names.stage(next="one_by_one"), "one_by_one": one_by_one.stage(collect=3)}

    ran = testing.run(Pipeline("p", stages=stages))

    assert [one.outcome for one in ran.attempts] == ["done", "parted", "done", "done", "done"]
    assert ids(ran.received("one_by_one"))[1:] == [["d0"], ["d1"], ["d2"]]
    assert not ran.failures


def test_what_waits_in_a_circle_with_itself_alone_does_not_wait_for_the_clock():
    stages = {
        "names": names.stage(with_={"count": 2}, next=["one", "fails"]),
        "one": keep.stage(collect={"size": 10, "wait": "20h"}, next=recurse("one", 1)),
        # Repeated by the clock, after 10 hours.
        "fails": fails.stage(with_={"on": ["d1"]}, retry={"max": 1, "base": "10h"}),
    }

    ran = testing.run(Pipeline("p", stages=stages))

    assert [one.stage for one in ran.attempts].index("one") < len(ran.attempts) - 1
    assert ran.attempts[-1].stage == "fails"


def test_what_is_more_urgent_comes_first_and_what_is_repeated_when_its_wait_is_over():
    stages = {
        "names": names.stage(with_={"count": 2}, next=["late", "soon", "fails"]),
        "late": keep.stage(priority=10, next="last"),
        "last": keep.stage(priority=0),
        "soon": keep.stage(priority=90),
        "fails": fails.stage(with_={"on": ["d0"]}, priority=100, retry={"max": 1, "base": "10h"}),
    }

    ran = testing.run(Pipeline("p", stages=stages))

    order = ["names", "fails", "fails", "soon", "soon", "late", "late", "last", "last", "fails"]
    assert [one.stage for one in ran.attempts] == order


def test_a_join_that_waits_for_another_comes_after_what_follows_that_one():
    stages = {
        "names": names.stage(with_={"count": 1}, next="keep"),
        "keep": keep.stage(),
        # By their names the other way round.
        "z_first": keep.stage(join=["keep"], next="behind"),
        "behind": keep.stage(),
        "a_last": keep.stage(join=["behind"]),
    }

    ran = testing.run(Pipeline("p", stages=stages))

    assert [one.stage for one in ran.attempts] == ["names", "keep", "z_first", "behind", "a_last"]


def test_a_stream_that_is_repeated_goes_on_behind_what_it_has_handed_over():
    _tries.clear()

    ran = testing.run(Pipeline("p", stages={"breaks_off": breaks_off.stage(next="keep"), "keep": keep.stage()}))

    assert _tries == [1101, 1200]
    assert sorted(ids(ran.received("keep"))) == sorted([f"n{number}"] for number in range(1200))


def test_a_collected_job_of_which_a_part_was_handed_over_is_not_taken_apart(monkeypatch):
    monkeypatch.setattr(attempt, "CHUNK_SECONDS", 60.0)  # a part is 500 jobs, however slow the machine is
    _tries.clear()
    stages = {
        "names": names.stage(with_={"count": 2}, next="breaks_off"),
        "breaks_off": breaks_off.stage(collect=2, retry=0, next="keep"),
        "keep": keep.stage(),
    }

    ran = testing.run(Pipeline("p", stages=stages))

    assert _tries == [1101]
    assert [one.outcome for one in ran.attempts if one.stage == "breaks_off"] == ["failed"]
    assert sorted(ids(ran.received("keep"))) == sorted([f"n{number}"] for number in range(1000))


def test_something_may_stand_in_for_a_stage():
    stages = {
        "names": names.stage(next="translate"),
        "translate": external("ftm_translate.tasks.translate", queue="translate", next={"index": "keep"}),
        "keep": keep.stage(),
    }
    pipeline = Pipeline("p", stages=stages)

    ran = testing.run(pipeline, instead={"translate": lambda job: Out("index", job)})

    assert ran.found("translate", "index") == {"keep": 3}
    with pytest.raises(UsageError, match="'translate' lives in another service, and nothing stands in for it"):
        testing.run(pipeline)
    with pytest.raises(UsageError, match="no stage is named 'translat'") as caught:
        testing.run(pipeline, instead={"translat": keep})
    assert caught.value.help == "did you mean 'translate'?"


def test_what_is_deferred_by_hand_is_kept_and_goes_nowhere():
    ran = testing.run(Pipeline("p", stages={"defers": defers.stage()}))

    assert [(job.queue, job.task) for job in ran.deferred] == [("mail", "mail.send")]


def test_nothing_is_left_behind_but_in_a_home_that_was_given(tmp_path, monkeypatch):
    monkeypatch.delenv("OAFLOW_HOME", raising=False)
    path, pipeline = list(sys.path), Pipeline("p", stages={"looks": looks.stage(next="keep"), "keep": keep.stage()})

    (unseen,) = testing.run(pipeline).received("keep")
    (seen,) = testing.run(pipeline, home=tmp_path / "home").received("keep")

    assert not Path(unseen.context["home"]).exists()
    assert seen.context["home"] == str(tmp_path / "home")
    assert "OAFLOW_HOME" not in os.environ
    assert sys.path == path


def test_a_file_is_found_with_the_modules_beside_it_and_is_the_plan_of_a_run(tmp_path, monkeypatch):
    (tmp_path / "beside_it.py").write_text(
        "from oaflow import Job, stage\n\n@stage(queue='q')\ndef say(job: Job, *, word: str): return job\n"
    )
    file = tmp_path / "p.yml"
    file.write_text(
        "pipeline: p\nparams: {word: {default: hello}}\n"
        'stages: {say: {task: beside_it.say, with: {word: "${params.word}"}}}\n'
    )
    bound: list[Plan] = []
    import oaflow.testing.running as running

    bind = running.bind_plan
    monkeypatch.setattr(
        running, "bind_plan", lambda plan, *given, **more: (bound.append(plan), bind(plan, *given, **more))[1]
    )

    ran = testing.run(file, params={"word": "bye"})

    from oaflow.compiler import check_file

    assert ran.stages["say"]["done"] == 1
    checked = check_file(file).plan
    assert checked is not None
    assert bound[0].digest == checked.digest


def test_mistakes_of_a_pipeline_are_shown_as_check_shows_them():
    with pytest.raises(UsageError, match="pipeline 'p' has 1 mistake") as caught:
        testing.run(Pipeline("p", stages={"keep": keep.stage(next="index")}))

    assert "no stage is named 'index'" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"at": "kep"}, "no stage is named 'kep'"),
        ({"at": "end"}, "no run starts at 'end': it is a join"),
        ({"params": {"x": 1}}, "the pipeline has no param 'x'"),
        ({"jobs": [DatasetJob(dataset="other", queue="q", task="t")]}, "a job of dataset 'other' was given"),
        ({"jobs": [3]}, "what was given is not a job"),
        ({"jobs": {"id": "a", "schema": "Email"}}, "`jobs` is no list of jobs"),
        ({"jobs": "a"}, "`jobs` is no list of jobs"),
        ({"jobs": 3}, "`jobs` is no list of jobs"),
        (
            {"jobs": [{"context": {"a": object()}}]},
            "job 1 of those given cannot be sent: payload.context.a holds a value",
        ),
        ({"jobs": [{"context": {"a": [1.5, math.nan]}}]}, r"payload.context.a\[1\] holds NaN"),
        ({"jobs": [[], [{"schema": "Email", "properties": {"title": "\0"}}]]}, r"properties.title.* holds a NUL"),
        ({"jobs": [{"context": [1]}]}, "the context of a job is a mapping"),
        ({"jobs": [{"id": "a", "schema": "Emial"}]}, "FollowTheMoney has no schema 'Emial'"),
        ({"instead": {"keep": 3}}, "what is to stand in for stage 'keep' is no function"),
    ],
)
def test_what_cannot_be_run_is_said_in_a_sentence(keys, sentence):
    with pytest.raises(UsageError, match=sentence):
        testing.run(Pipeline("p", stages={"keep": keep.stage(), "end": keep.stage(join="run")}), **keys)


@stage(ports=("default", "away"))
def finds(job: DatasetJob) -> Iterator[DatasetJob | Out]:
    for name in ("lands", "fails", "aside", "saved", "nowhere", "dropped", "refused"):
        job.found(name, f"{name}.txt")
        document = job.with_entities([{"id": name, "schema": "Document"}])
        yield Out("away", document) if name == "dropped" else document
    job.found("nothing", "nothing.txt")
    job.skipped("passed", "passed.txt", "too large")


@stage
def troubles(job: DatasetJob) -> DatasetJob | None:
    (name,) = job.documents
    if name in ("fails", "aside", "saved"):
        raise Reject(f"no {name}")
    if name == "lands":
        job.unreadable("lands", "lands.txt", "it has no letters")
    return None if name == "refused" else job


def test_each_document_is_on_one_line_of_the_receipt_and_report_tells_it(tmp_path):
    stages = {
        "finds": finds.stage(
            next={
                "default": [
                    {"to": "fails", "where": "e.id == 'fails'"},
                    {"to": "work", "where": "e.id != 'fails' and e.id != 'nowhere'"},
                ],
                "away": "drop",
            }
        ),
        "fails": troubles.stage(),
        "work": troubles.stage(next="index", on_error="aside"),
        "aside": keep.stage(next=[{"to": "index", "where": "e.id == 'saved'"}, {"to": "rest", "else": True}]),
        "rest": keep.stage(next={"default": "drop"}),
        "index": makes_findable.stage(),
        "report": report.stage(join="run"),
    }

    ran = testing.run(Pipeline("p", stages=stages), home=tmp_path)

    assert {one.document: (one.line, one.reason) for one in ran.documents} == {
        "lands": ("indexed", "it has no letters"),
        "fails": ("failed", "fails: Reject: no fails"),
        "aside": ("diverted", "by work"),
        "saved": ("indexed", None),
        "nowhere": ("unmatched", ran.losses[0].reason),
        "dropped": ("dropped", "port 'away' of stage 'finds' is dropped"),
        "refused": ("ended", "work returned nothing for it"),
        "nothing": (None, None),
        "passed": ("skipped", "too large"),
    }
    told = ran.receipt.as_json()
    assert (told["found"], told["indexed"], told["unreadable"], told["balanced"]) == (9, 2, 1, False)
    text = (tmp_path / "reports" / f"{ran.run}.md").read_text()
    assert "| found | 9 |" in text
    assert "- 1 failed: fails: Reject: no fails\n  fails.txt\n" in text


def test_what_functions_log_is_taken_by_pytest_and_shown_with_its_level_where_nothing_takes_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    pipeline = Pipeline("p", stages={"logs": logs.stage()})
    package = logging.getLogger(__name__.partition(".")[0])

    testing.run(pipeline)
    taken, shown = caplog.record_tuples[:], capsys.readouterr().err
    with monkeypatch.context() as without:
        without.setattr(logging.root, "handlers", [])
        testing.run(pipeline)

    assert taken == [
        (__name__, logging.INFO, "a step"),
        (__name__, logging.WARNING, "a trap"),
        ("of_others", logging.WARNING, "a trap"),
    ]
    assert shown == ""
    assert capsys.readouterr().err.splitlines() == [
        f"INFO {__name__}: a step",
        f"WARNING {__name__}: a trap",
        "WARNING of_others: a trap",
    ]
    assert package.level == logging.NOTSET


def test_a_ctrl_c_within_a_stage_ends_the_test():
    with pytest.raises(KeyboardInterrupt):
        testing.run(Pipeline("p", stages={"stops": stops.stage()}))


def test_what_an_attempt_does_not_say_again_is_taken_out_of_the_store():
    shelf = Shelf()
    for said in (["a", "b"], ["a"]):
        writer = shelf.writer("d", "p/stage", "doc", True)
        for id in said:
            writer.add({"id": id, "schema": "Person", "properties": {"name": ["Ada"]}})
        writer.settle()

    assert [entity.id for entity in shelf.load("d", ["a", "b"])] == ["a"]
