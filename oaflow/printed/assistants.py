"""
The answers of `oaflow mcp` to assistants: the types of the commands, split into pages and bounded in size.
"""

from typing import Annotated

from typing_extensions import TypedDict

from oaflow.printed.documents import Failure, Hit, Passport, Receipt, Said
from oaflow.printed.pipelines import Rule, RuleLine
from oaflow.printed.runs import Details, RecentRun, State, Wait
from oaflow.printed.shapes import Says, closed


class Bounded(TypedDict):
    """
    An answer of bounded size.
    """

    left_out: Annotated[
        dict[str, int], Says("by key, how many items or characters were left out because there were too many")
    ]


class Paged(Bounded):
    """
    One page of a list.
    """

    next_cursor: Annotated[str | None, Says("the `cursor` of the next page; null on the last page")]


@closed
class ListedRun(RecentRun):
    """
    A run in a list.
    """

    rerun_of: Annotated[str | None, Says("the run that it repeats in part")]
    began: Annotated[str, Says("when it started, in ISO 8601")]
    seconds: Annotated[float, Says("its age in seconds, or how long it took")]


@closed
class Runs(Paged):
    """
    Runs, newest first.
    """

    runs: Annotated[list[ListedRun], Says("the runs")]


@closed
class RunStatus(Details, Bounded):
    """
    How a run stands.
    """


@closed
class Waiting(Bounded):
    """
    Why a run waits.
    """

    run: Annotated[str, Says("the id of the run")]
    state: Annotated[State, Says("the state of the run; one that has ended waits for nothing")]
    waits: Annotated[list[Wait], Says("what it waits for; empty if it is progressing or has ended")]


@closed
class Cause(TypedDict):
    """
    Failures of one stage that have the same cause.
    """

    stage: Annotated[str, Says("the stage at which they failed")]
    type: Annotated[str | None, Says("the type of the exception, or one of oaflow's own")]
    message: Annotated[str | None, Says("the message of the first")]
    fingerprint: Annotated[str, Says("identifies the cause; pass it as `cause`")]
    place: Annotated[str | None, Says("where in the stage's code it was raised")]
    count: Annotated[int, Says("how many jobs failed with this cause")]
    again: Annotated[int, Says("how many of them `oaflow retry` can retry")]
    first: Annotated[str, Says("when the first failed, in ISO 8601")]
    last: Annotated[str, Says("when the last failed, in ISO 8601")]
    jobs: Annotated[list[int], Says("the ids of the first ten jobs")]
    names: Annotated[list[str], Says("names of some of their documents")]
    traceback: Annotated[str | None, Says("the traceback of the first")]


@closed
class Causes(Paged):
    """
    The failures of a run by cause, most frequent first.
    """

    run: Annotated[str, Says("the id of the run")]
    state: Annotated[State, Says("the state of the run")]
    causes: Annotated[list[Cause], Says("the causes")]


@closed
class FailedJobs(Paged):
    """
    Failed jobs, oldest first.
    """

    run: Annotated[str, Says("the id of the run")]
    failures: Annotated[list[Failure], Says("the jobs")]


@closed
class RunReceipt(Receipt, Bounded):
    """
    What became of the documents of a run; each is counted once.
    """


@closed
class FoundDocument(TypedDict):
    """
    A document that matches what was asked for.
    """

    document: Annotated[str, Says("its id")]
    name: Annotated[str, Says("its name")]
    dataset: Annotated[str, Says("the dataset that contains it")]
    run: Annotated[str, Says("the latest run that had it")]
    others: Annotated[list[str], Says("other runs that had it")]


@closed
class Trace(Bounded):
    """
    What became of a document.
    """

    found: Annotated[list[FoundDocument], Says("the matching documents")]
    passports: Annotated[
        list[Passport], Says("what became of the document; empty if several match: ask for one of them")
    ]
    entity: Annotated[list[Said], Says("the statements about it, if it is an entity found in documents")]


@closed
class MissingWord(TypedDict):
    """
    A word that no document of the dataset contains.
    """

    word: Annotated[str, Says("the word, phrase or prefix that was searched for")]
    near: Annotated[list[str], Says("similar words that do occur")]


@closed
class Searched(Bounded):
    """
    Documents that contain all of the words, best first.
    """

    dataset: Annotated[str, Says("the dataset that was searched")]
    hits: Annotated[list[Hit], Says("the documents")]
    missing: Annotated[list[MissingWord], Says("if nothing was found: the words that no document contains")]


@closed
class Explanation(Rule, Bounded):
    """
    What a mistake means, with an example and how to fix it.
    """


@closed
class Rules(Paged):
    """
    The mistakes that `oaflow check` finds.
    """

    rules: Annotated[list[RuleLine], Says("the rules, by code")]
