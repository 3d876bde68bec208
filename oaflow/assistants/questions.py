"""
What is said with each question of an assistant: closed, bounded, and described for it.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from oaflow.printed.runs import State

RunAsked = Annotated[str | None, Field(description="the id of the run; the latest where it is left out")]
Cursor = Annotated[str | None, Field(description="`next_cursor` of the part before; the first where it is left out")]


class Asked(BaseModel):
    """
    What is said with a question.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


class RunsAsked(Asked):
    """
    Which runs are listed.
    """

    dataset: Annotated[str | None, Field(description="only runs over this dataset")] = None
    pipeline: Annotated[str | None, Field(description="only runs of this pipeline")] = None
    state: Annotated[State | None, Field(description="only runs that stand so")] = None
    limit: Annotated[int, Field(ge=1, le=100, description="so many at most")] = 20
    cursor: Cursor = None


class OneRun(Asked):
    """
    Which run it is about.
    """

    run: RunAsked = None


class CausesAsked(Asked):
    """
    Which failures are told by cause.
    """

    run: RunAsked = None
    stage: Annotated[str | None, Field(description="only what failed at this stage")] = None
    limit: Annotated[int, Field(ge=1, le=25, description="so many at most")] = 10
    cursor: Cursor = None


class JobsAsked(CausesAsked):
    """
    Which failed jobs are listed.
    """

    cause: Annotated[str | None, Field(description="only what failed for this: a `fingerprint` of a cause")] = None


class TraceAsked(Asked):
    """
    Which document it is about.
    """

    document: Annotated[
        str,
        Field(
            min_length=1,
            description="the id of a document or entity, the SHA-1 of a file, the name of a document or its end, or the"
            " path of a file on this machine",
        ),
    ]
    dataset: Annotated[str | None, Field(description="only in this dataset")] = None
    run: Annotated[str | None, Field(description="in this run; the latest that had it where it is left out")] = None


class SearchAsked(Asked):
    """
    What is looked for.
    """

    words: Annotated[
        str,
        Field(min_length=1, max_length=500, description='words, "quoted phrases" and beginnings*; all must be there'),
    ]
    dataset: Annotated[str | None, Field(description="in this dataset; the only one where it is left out")] = None
    limit: Annotated[int, Field(ge=1, le=50, description="so many documents at most")] = 10


class CodeAsked(Asked):
    """
    Which code it is about.
    """

    code: Annotated[str, Field(min_length=1, description="as `OAF201`, or the name of the rule")]


class CodesAsked(Asked):
    """
    Which codes are listed.
    """

    limit: Annotated[int, Field(ge=1, le=200, description="so many at most")] = 100
    cursor: Cursor = None
