"""
What commands print about pipelines: mistakes, pictures, what changed, and where jobs would go.
"""

from typing import Annotated, Literal

from typing_extensions import TypedDict

from oaflow.printed.runs import State
from oaflow.printed.shapes import Says, closed


class Place(TypedDict):
    """
    A place in what the author wrote.
    """

    file: Annotated[str | None, Says("the file; null if it is not in a file")]
    path: Annotated[list[str | int], Says("the keys and positions that lead to the place")]
    line: Annotated[int | None, Says("from 1; null if there are no lines")]
    column: Annotated[int | None, Says("from 1; null if there are no lines")]
    end_line: Annotated[int | None, Says("the line on which it ends")]
    end_column: Annotated[int | None, Says("the column after its end")]


@closed
class Note(Place):
    """
    Another place that belongs to a mistake.
    """

    message: Annotated[str, Says("what is there")]


@closed
class Diagnostic(Place):
    """
    A mistake, or a warning.
    """

    code: Annotated[str, Says("the code of the rule, such as `OAF201`; `oaflow explain` describes it")]
    slug: Annotated[str, Says("the name of the rule")]
    severity: Annotated[Literal["error", "warning"], Says("a pipeline with an error does not run")]
    message: Annotated[str, Says("what is wrong")]
    help: Annotated[str | None, Says("what to do about it")]
    notes: Annotated[list[Note], Says("other places that belong to it")]


@closed
class Summary(TypedDict):
    """
    The last line of `check` about a pipeline.
    """

    pipeline: Annotated[str, Says("the pipeline, as it was typed")]
    stages: Annotated[int | None, Says("how many stages it has; null if a mistake makes that unclear")]
    mistakes: Annotated[int, Says("how many mistakes it has")]
    warnings: Annotated[int, Says("how many warnings it has")]
    without_annotations: Annotated[list[str], Says("the functions of its stages that have no type annotations")]


@closed
class RuleLine(TypedDict):
    """
    A rule, in short.
    """

    code: Annotated[str, Says("such as `OAF201`; never reused for another rule")]
    slug: Annotated[str, Says("its name")]
    summary: Annotated[str, Says("what it is about, in short")]


@closed
class Rule(RuleLine):
    """
    What a mistake means, with an example and how to fix it.
    """

    severity: Annotated[Literal["error", "warning"], Says("a pipeline with an error does not run")]
    explanation: Annotated[str, Says("what it means")]
    example: Annotated[str, Says("a pipeline, or files, with the mistake")]
    repair: Annotated[str, Says("the same without the mistake")]


@closed
class Node(TypedDict):
    """
    A stage in the picture of a pipeline.
    """

    name: Annotated[str, Says("the name of the stage")]
    task: Annotated[str, Says("its function")]
    queue: Annotated[str, Says("its queue")]
    start: Annotated[bool, Says("whether runs start here")]
    end: Annotated[bool, Says("whether no stage follows it")]
    external: Annotated[bool, Says("whether a service runs it")]
    disabled: Annotated[str | None, Says("why it is off; null if it is on")]
    counts: Annotated[dict[str, int], Says("the job counts of a run, as in `status`; empty without a run")]
    join: Annotated[list[str], Says("the stages that it waits for, or `run`")]
    collect: Annotated[
        int | str | None, Says("how many entities are collected into one job; a string names a param without a value")
    ]
    split: Annotated[
        int | str | None, Says("the largest number of entities in a job; a string names a param without a value")
    ]
    description: Annotated[str | None, Says("what it is for")]
    lock: Annotated[str | None, Says("the expression of its lock")]


_From = TypedDict("_From", {"from": Annotated[str, Says("the stage that it leads from")]})


@closed
class Arrow(_From):
    """
    An edge in the picture of a pipeline.
    """

    to: Annotated[str | None, Says("the stage that it leads to; null if what is emitted there is dropped")]
    port: Annotated[str, Says("the port at which it starts")]
    kind: Annotated[Literal["next", "error", "drop"], Says("`error` is `on_error`")]
    recurse: Annotated[int | None, Says("the depth limit, if the edge closes a cycle")]
    condition: Annotated[str, Says("its condition, as written in the file; empty if it takes everything")]
    count: Annotated[int | None, Says("how many jobs of the run took it; null without a run")]


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
    param: Annotated[
        str | None, Says("the param that it belongs to; if `stage` is null too, it concerns the whole pipeline")
    ]


@closed
class Comparison(TypedDict):
    """
    What changed from one plan to another.
    """

    old: Annotated[str, Says("the digest of the old plan")]
    new: Annotated[str, Says("the digest of the new plan")]
    run: Annotated[str | None, Says("the run with the old plan, if a run was named")]
    state: Annotated[State | None, Says("the state of that run")]
    same: Annotated[bool, Says("whether the plans treat jobs the same")]
    changes: Annotated[list[Change], Says("all differences")]
    movable: Annotated[bool, Says("whether a run in flight could switch to the new plan")]
    obstacles: Annotated[list[str], Says("what prevents that")]


@closed
class Answer(TypedDict):
    """
    How an edge decided about an entity, or about a job without entities.
    """

    to: Annotated[str, Says("the stage that it leads to")]
    condition: Annotated[str, Says("its condition; empty if it has none")]
    holds: Annotated[bool | None, Says("whether the condition holds; null if it was not evaluated")]
    values: Annotated[dict[str, object], Says("the values that the condition read, by expression")]


@closed
class RoutedEntity(TypedDict):
    """
    Where an entity goes. `entity` and `schema` are null for a job without entities.
    """

    entity: Annotated[str | None, Says("its id")]
    schema: Annotated[str | None, Says("its FollowTheMoney schema")]
    to: Annotated[list[str], Says("the stages that it goes to; empty if no edge takes it")]
    answers: Annotated[list[Answer], Says("how each edge of the port decided")]


@closed
class Routing(TypedDict):
    """
    Where a job would go.
    """

    stage: Annotated[str, Says("the stage that returned it")]
    port: Annotated[str, Says("the port on which it was returned")]
    ways: Annotated[list[RoutedEntity], Says("where each of its entities goes")]
    reason: Annotated[str | None, Says("why some entities go nowhere; null if all are taken")]
    loads: Annotated[list[str], Says("the stages whose incoming edges read entities from the store")]
    disabled: Annotated[dict[str, str], Says("the stages that are off, with the reason")]


@closed
class ReplayedStage(TypedDict):
    """
    How much of a stage's output was routed again.
    """

    hops: Annotated[int, Says("hand-overs that returned jobs")]
    kept: Annotated[int, Says("how many of them the history still holds")]
    jobs: Annotated[int, Says("how many jobs those returned")]
    routed: Annotated[int, Says("how many jobs were routed again")]


@closed
class EdgeFlow(TypedDict):
    """
    How many entities take an edge, before and after.
    """

    stage: Annotated[str, Says("the stage that it leads from")]
    port: Annotated[str, Says("the port at which it starts")]
    to: Annotated[str | None, Says("the stage that it leads to; null stands for what no edge takes")]
    took: Annotated[str | None, Says("its condition before; null if the edge did not exist")]
    takes: Annotated[str | None, Says("its condition now; null if the edge no longer exists")]
    before: Annotated[int, Says("how many entities took it")]
    after: Annotated[int, Says("how many entities would take it")]


@closed
class Moved(TypedDict):
    """
    An entity that would go elsewhere.
    """

    stage: Annotated[str, Says("the stage that returned it")]
    port: Annotated[str, Says("the port on which it was returned")]
    job: Annotated[int, Says("the job that returned it")]
    entity: Annotated[str | None, Says("its id; null for a job without entities")]
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

    stage: Annotated[str, Says("the stage at which they failed")]
    jobs: Annotated[int, Says("how many jobs")]
    was: Annotated[str | None, Says("where they went; null if they were recorded as failures")]
    would: Annotated[str | None, Says("where they would go; null if they would be recorded as failures")]


@closed
class Replay(TypedDict):
    """
    A past run, routed again with the edited pipeline.
    """

    run: Annotated[str, Says("the id of the run")]
    plan: Annotated[str, Says("the digest of its plan")]
    stages: Annotated[dict[str, ReplayedStage], Says("by stage, how much of its output was routed again")]
    whole: Annotated[bool, Says("whether all output was routed again")]
    edges: Annotated[list[EdgeFlow], Says("what takes each edge, before and now")]
    moved: Annotated[int, Says("how many entities would go elsewhere")]
    samples: Annotated[list[Moved], Says("some of the entities that would go elsewhere")]
    refused: Annotated[list[Refusal], Says("jobs that would fail")]
    troubled: Annotated[list[Troubled], Says("jobs that failed and would go elsewhere")]
    absent: Annotated[dict[str, str], Says("the stages that were left out, with the reason")]
    loads: Annotated[list[str], Says("the stages whose incoming edges read entities from the store")]


@closed
class TakenEdge(_From):
    """
    An edge that a test took.
    """

    port: Annotated[str, Says("the port at which it starts")]
    to: Annotated[str, Says("the stage that it leads to")]
    condition: Annotated[str, Says("its condition, as written in the file; empty if it takes everything")]


@closed
class Untaken(TakenEdge):
    """
    An edge that no test took.
    """

    decided: Annotated[bool, Says("whether an edge of its port has a condition")]


@closed
class Tried(TypedDict):
    """
    The result of one test of a pipeline.
    """

    pipeline: Annotated[str, Says("the pipeline, as it was typed")]
    number: Annotated[int, Says("the position of the test in its file, from 1")]
    at: Annotated[str, Says("the stage that returns the job")]
    port: Annotated[str, Says("the port on which the job is returned")]
    description: Annotated[str | None, Says("what the test is for")]
    expected: Annotated[dict[str, int], Says("by stage, how many entities should go there")]
    found: Annotated[dict[str, int], Says("by stage, how many entities go there")]
    reason: Annotated[str | None, Says("why some go nowhere")]
    problem: Annotated[str | None, Says("why the test could not run")]
    taken: Annotated[list[TakenEdge], Says("the edges that were taken")]
    passed: Annotated[bool, Says("whether everything goes where it should")]


@closed
class Coverage(TypedDict):
    """
    What the tests of a pipeline cover; printed after them.
    """

    pipeline: Annotated[str, Says("the pipeline, as it was typed")]
    edges: Annotated[int, Says("how many edges it has")]
    untaken: Annotated[list[Untaken], Says("the edges that no test took")]
