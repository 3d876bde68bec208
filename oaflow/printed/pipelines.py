"""
What is printed of pipelines: mistakes, pictures, what changed, and where jobs would go.
"""

from typing import Annotated, Literal

from typing_extensions import TypedDict

from oaflow.printed.runs import State
from oaflow.printed.shapes import Says, closed


class Place(TypedDict):
    """
    A place in what the author wrote.
    """

    file: Annotated[str | None, Says("the file; null where it is none")]
    path: Annotated[list[str | int], Says("the keys and positions that lead to the place")]
    line: Annotated[int | None, Says("from 1; null where there are no lines")]
    column: Annotated[int | None, Says("from 1; null where there are no lines")]
    end_line: Annotated[int | None, Says("the line where it ends")]
    end_column: Annotated[int | None, Says("the column behind its end")]


@closed
class Note(Place):
    """
    A further place that belongs to a mistake.
    """

    message: Annotated[str, Says("what is there")]


@closed
class Diagnostic(Place):
    """
    A mistake, or a warning.
    """

    code: Annotated[str, Says("the rule, as `OAF201`; `explain` tells more")]
    slug: Annotated[str, Says("the name of the rule")]
    severity: Annotated[Literal["error", "warning"], Says("a pipeline with an error does not run")]
    message: Annotated[str, Says("what is wrong")]
    help: Annotated[str | None, Says("what can be done")]
    notes: Annotated[list[Note], Says("further places that belong to it")]


@closed
class Summary(TypedDict):
    """
    What `check` says of a pipeline in its last line.
    """

    pipeline: Annotated[str, Says("the pipeline, as it was typed")]
    stages: Annotated[int | None, Says("how many stages it has; null where a mistake leaves that open")]
    mistakes: Annotated[int, Says("how many mistakes it has")]
    warnings: Annotated[int, Says("how many warnings besides")]
    without_annotations: Annotated[list[str], Says("functions of its stages that say nothing of their types")]


@closed
class RuleLine(TypedDict):
    """
    A rule, in short.
    """

    code: Annotated[str, Says("as `OAF201`; never used again for another rule")]
    slug: Annotated[str, Says("its name")]
    summary: Annotated[str, Says("what it is about, in a few words")]


@closed
class Rule(RuleLine):
    """
    What a mistake means, with an example and its repair.
    """

    severity: Annotated[Literal["error", "warning"], Says("a pipeline with an error does not run")]
    explanation: Annotated[str, Says("what it means")]
    example: Annotated[str, Says("a pipeline, or files, with the mistake")]
    repair: Annotated[str, Says("the same, mended")]


@closed
class Node(TypedDict):
    """
    A stage in the picture of a pipeline.
    """

    name: Annotated[str, Says("the name of the stage")]
    task: Annotated[str, Says("its function")]
    queue: Annotated[str, Says("its queue")]
    start: Annotated[bool, Says("whether a run begins with it")]
    end: Annotated[bool, Says("whether nothing follows it")]
    external: Annotated[bool, Says("whether a service runs it")]
    disabled: Annotated[str | None, Says("why it is off")]
    counts: Annotated[dict[str, int], Says("of a run, how many jobs are where, as in `status`; else empty")]
    join: Annotated[list[str], Says("the stages that it waits for, or `run`")]
    collect: Annotated[int | str | None, Says("how many entities are put into one job; a text: an open param")]
    split: Annotated[int | str | None, Says("how many entities a job has at most; a text: an open param")]
    description: Annotated[str | None, Says("what it is for")]
    lock: Annotated[str | None, Says("the expression of its lock")]


_From = TypedDict("_From", {"from": Annotated[str, Says("the stage that it leads from")]})


@closed
class Arrow(_From):
    """
    An edge in the picture of a pipeline.
    """

    to: Annotated[str | None, Says("the stage that it leads to; null: what is emitted there is dropped")]
    port: Annotated[str, Says("the port that it starts at")]
    kind: Annotated[Literal["next", "error", "drop"], Says("`error` is `on_error`")]
    recurse: Annotated[int | None, Says("how deep it may go, where it closes a cycle")]
    condition: Annotated[str, Says("what goes along it, in the words of the file; empty: all")]
    count: Annotated[int | None, Says("of a run, how many jobs went from the one stage to the other")]


@closed
class Graph(TypedDict):
    """
    A pipeline as a picture.
    """

    pipeline: Annotated[str, Says("the name of the pipeline")]
    stages: Annotated[list[Node], Says("its stages, in the order of the plan")]
    edges: Annotated[list[Arrow], Says("the edges between them")]


@closed
class Change(TypedDict):
    """
    One difference between two plans.
    """

    kind: Annotated[
        Literal[
            "pipeline", "start", "param", "stage", "route", "condition", "option", "limit", "retry", "function", "flow"
        ],
        Says("what is different"),
    ]
    text: Annotated[str, Says("the difference, in words")]
    stage: Annotated[str | None, Says("the stage that it belongs to")]
    param: Annotated[str | None, Says("the param that it belongs to; both null: the whole pipeline")]


@closed
class Comparison(TypedDict):
    """
    What changed from one plan to another.
    """

    old: Annotated[str, Says("the digest of the old plan")]
    new: Annotated[str, Says("the digest of the new plan")]
    run: Annotated[str | None, Says("the run whose plan the old one is, where a run was named")]
    state: Annotated[State | None, Says("how that run stands")]
    same: Annotated[bool, Says("whether nothing changes for jobs")]
    changes: Annotated[list[Change], Says("all that is different")]
    movable: Annotated[bool, Says("whether a run in flight may go over")]
    obstacles: Annotated[list[str], Says("what keeps it from that")]


@closed
class Answer(TypedDict):
    """
    What an edge says to an entity, or to a job without entities.
    """

    to: Annotated[str, Says("the stage that it leads to")]
    condition: Annotated[str, Says("its condition; empty: none")]
    holds: Annotated[bool | None, Says("whether the condition holds; null where nothing is asked")]
    values: Annotated[dict[str, object], Says("the values that it was asked with, by what they are of")]


@closed
class RoutedEntity(TypedDict):
    """
    Where an entity goes; both names are null where the job has none.
    """

    entity: Annotated[str | None, Says("its id")]
    schema: Annotated[str | None, Says("its FollowTheMoney schema")]
    to: Annotated[list[str], Says("the stages that it goes to; none: nothing takes it")]
    answers: Annotated[list[Answer], Says("what the edges of the port say")]


@closed
class Routing(TypedDict):
    """
    Where a job would go.
    """

    stage: Annotated[str, Says("the stage that returned it")]
    port: Annotated[str, Says("the port that it was returned on")]
    ways: Annotated[list[RoutedEntity], Says("where each of its entities goes")]
    reason: Annotated[str | None, Says("why what no edge takes goes nowhere; null: all is taken")]
    loads: Annotated[list[str], Says("stages whose edges would read the entities from the store")]
    disabled: Annotated[dict[str, str], Says("the stages that are off, with the reason")]


@closed
class ReplayedStage(TypedDict):
    """
    How much of what a stage returned was routed anew.
    """

    hops: Annotated[int, Says("hand-overs that returned something")]
    kept: Annotated[int, Says("of how many of them that is kept")]
    jobs: Annotated[int, Says("jobs in these")]
    routed: Annotated[int, Says("jobs that were routed anew")]


@closed
class EdgeFlow(TypedDict):
    """
    What goes along an edge, before and after.
    """

    stage: Annotated[str, Says("the stage that it leads from")]
    port: Annotated[str, Says("the port that it starts at")]
    to: Annotated[str | None, Says("the stage that it leads to; null: what nothing takes")]
    took: Annotated[str | None, Says("its condition before; null: there was no such edge")]
    takes: Annotated[str | None, Says("its condition now; null: there is no such edge")]
    before: Annotated[int, Says("entities that went along it")]
    after: Annotated[int, Says("entities that would go along it")]


@closed
class Moved(TypedDict):
    """
    An entity that would go elsewhere.
    """

    stage: Annotated[str, Says("the stage that returned it")]
    port: Annotated[str, Says("the port that it was returned on")]
    job: Annotated[int, Says("the job that returned it")]
    entity: Annotated[str | None, Says("its id; null: a job without entities")]
    schema: Annotated[str | None, Says("its FollowTheMoney schema")]
    was: Annotated[list[str], Says("the stages that it went to")]
    would: Annotated[list[str], Says("the stages that it would go to")]


@closed
class Refusal(TypedDict):
    """
    Jobs that the edited pipeline could not route.
    """

    stage: Annotated[str, Says("the stage that returned them")]
    port: Annotated[str, Says("the port that they were returned on")]
    problem: Annotated[str, Says("why they would fail")]
    jobs: Annotated[int, Says("how many would fail")]


@closed
class Troubled(TypedDict):
    """
    Jobs that failed and would go elsewhere.
    """

    stage: Annotated[str, Says("the stage that they failed at")]
    jobs: Annotated[int, Says("how many")]
    was: Annotated[str | None, Says("where they went; null: to the failures")]
    would: Annotated[str | None, Says("where they would go; null: to the failures")]


@closed
class Replay(TypedDict):
    """
    A past run, routed anew.
    """

    run: Annotated[str, Says("the id of the run")]
    plan: Annotated[str, Says("the digest of its plan")]
    stages: Annotated[dict[str, ReplayedStage], Says("by stage, how much of what it returned was routed anew")]
    whole: Annotated[bool, Says("whether that is all that was returned")]
    edges: Annotated[list[EdgeFlow], Says("what goes along each edge")]
    moved: Annotated[int, Says("how many entities would go elsewhere")]
    samples: Annotated[list[Moved], Says("some of them")]
    refused: Annotated[list[Refusal], Says("jobs that would fail")]
    troubled: Annotated[list[Troubled], Says("jobs that failed and would go elsewhere")]
    absent: Annotated[dict[str, str], Says("stages that are not asked, with the reason")]
    loads: Annotated[list[str], Says("stages to which an edge reads the entities from the store")]


@closed
class TakenEdge(_From):
    """
    An edge that a test took.
    """

    port: Annotated[str, Says("the port that it starts at")]
    to: Annotated[str, Says("the stage that it leads to")]
    condition: Annotated[str, Says("what it takes, in the words of the file; empty: all")]


@closed
class Untaken(TakenEdge):
    """
    An edge that no test took.
    """

    decided: Annotated[bool, Says("whether a condition stands at its port")]


@closed
class Tried(TypedDict):
    """
    What came of one test of a pipeline.
    """

    pipeline: Annotated[str, Says("the pipeline, as it was typed")]
    number: Annotated[int, Says("of the test in its file, from 1")]
    at: Annotated[str, Says("the stage that its job comes from")]
    port: Annotated[str, Says("the port that it is returned on")]
    description: Annotated[str | None, Says("what the test is for")]
    expected: Annotated[dict[str, int], Says("by stage, how many entities are to go there")]
    found: Annotated[dict[str, int], Says("by stage, how many go there")]
    reason: Annotated[str | None, Says("why some go nowhere")]
    problem: Annotated[str | None, Says("why it could not be tried")]
    taken: Annotated[list[TakenEdge], Says("the edges that something went along")]
    passed: Annotated[bool, Says("whether all goes where it was to go")]


@closed
class Coverage(TypedDict):
    """
    What the tests of a pipeline cover; it follows them.
    """

    pipeline: Annotated[str, Says("the pipeline, as it was typed")]
    edges: Annotated[int, Says("how many edges it has")]
    untaken: Annotated[list[Untaken], Says("the edges that no test took")]
