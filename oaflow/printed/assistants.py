"""
What assistants are answered by `oaflow mcp`: the shapes of the commands, in pages and bounded.
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

    left_out: Annotated[dict[str, int], Says("by key, how many items or letters were left out as too many")]


class Paged(Bounded):
    """
    A part of a list.
    """

    next_cursor: Annotated[str | None, Says("what to give as `cursor` for the next part; null: this is the last")]


@closed
class ListedRun(RecentRun):
    """
    A run in a list.
    """

    rerun_of: Annotated[str | None, Says("the run of which it does a part again")]
    began: Annotated[str, Says("when it began, in ISO 8601")]
    seconds: Annotated[float, Says("its age, or how long it took")]


@closed
class Runs(Paged):
    """
    Runs, the newest first.
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
    state: Annotated[State, Says("how it stands; one that has ended waits for nothing")]
    waits: Annotated[list[Wait], Says("what keeps it waiting; none: it goes on, or has ended")]


@closed
class Cause(TypedDict):
    """
    Failures of one stage with one cause.
    """

    stage: Annotated[str, Says("the stage that they failed at")]
    type: Annotated[str | None, Says("the type of the exception, or one of oaflow's own")]
    message: Annotated[str | None, Says("what the first of them says")]
    fingerprint: Annotated[str, Says("the cause, to be given as `cause`")]
    place: Annotated[str | None, Says("where in the code of the stage it came from")]
    count: Annotated[int, Says("how many jobs failed so")]
    again: Annotated[int, Says("how many of them `oaflow retry` can send again")]
    first: Annotated[str, Says("when the first failed, in ISO 8601")]
    last: Annotated[str, Says("when the last failed, in ISO 8601")]
    jobs: Annotated[list[int], Says("the numbers of the first ten")]
    names: Annotated[list[str], Says("names of some of their documents")]
    traceback: Annotated[str | None, Says("the traceback of the first")]


@closed
class Causes(Paged):
    """
    What failed in a run, by cause, the most frequent first.
    """

    run: Annotated[str, Says("the id of the run")]
    state: Annotated[State, Says("how the run stands")]
    causes: Annotated[list[Cause], Says("the causes")]


@closed
class FailedJobs(Paged):
    """
    Jobs that failed, the oldest first.
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
    A document that what was asked for stands for.
    """

    document: Annotated[str, Says("its id")]
    name: Annotated[str, Says("its name")]
    dataset: Annotated[str, Says("the dataset that it is in")]
    run: Annotated[str, Says("the latest run that had it")]
    others: Annotated[list[str], Says("other runs that had it")]


@closed
class Trace(Bounded):
    """
    What became of a document.
    """

    found: Annotated[list[FoundDocument], Says("the documents that it stands for")]
    passports: Annotated[list[Passport], Says("what became of it; none where it stands for several: ask for one")]
    entity: Annotated[list[Said], Says("what is said about it, where it is an entity that was read in documents")]


@closed
class MissingWord(TypedDict):
    """
    A word that no document of the dataset has.
    """

    word: Annotated[str, Says("the word, or what else was looked for")]
    near: Annotated[list[str], Says("words like it that some have")]


@closed
class Searched(Bounded):
    """
    Documents that have all of the words, the best first.
    """

    dataset: Annotated[str, Says("the dataset that was searched")]
    hits: Annotated[list[Hit], Says("the documents")]
    missing: Annotated[list[MissingWord], Says("where there is none: words that no document has")]


@closed
class Explanation(Rule, Bounded):
    """
    What a mistake means, with an example and its repair.
    """


@closed
class Rules(Paged):
    """
    The mistakes that `oaflow check` finds.
    """

    rules: Annotated[list[RuleLine], Says("the rules, by code")]
