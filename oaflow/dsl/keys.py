"""
The keys of a pipeline, for a type checker: what a misspelled one is compared with in an editor.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, Required, TypeAlias, TypedDict

from oaflow.model import Choose, Emit

# A number, or a text such as "${params.timeout}", "30m", "2GiB".
Number: TypeAlias = "int | float | str"


class RetryKeys(TypedDict, total=False):
    """
    `retry` written out. `max` is repetitions after the first attempt.
    """

    max: int | str
    backoff: Literal["none", "exponential"]
    base: Number
    cap: Number


# The mapping form of `where`: to each key the values of which one is wanted; under `not` another such mapping.
Wanted: TypeAlias = "str | Sequence[str]"
Where: TypeAlias = "Mapping[str, Wanted | Mapping[str, Wanted]]"

# `else` is a word of Python, so the keys are written as a mapping.
EdgeKeys = TypedDict(
    "EdgeKeys",
    {
        "to": str,
        "port": NotRequired[str],
        "recurse": NotRequired[int],
        "where": NotRequired["str | Where"],
        "when": NotRequired[str],
        "else": NotRequired[bool],
        "load": NotRequired[bool],
    },
)

Target: TypeAlias = "str | EdgeKeys"
Targets: TypeAlias = "Target | Sequence[Target]"
Next: TypeAlias = "Targets | Mapping[str, Targets]"


class StageKeys(TypedDict, total=False):
    """
    The keys of a stage, as in a pipeline file; `with` is a word of Python, and written `with_`.
    """

    with_: Mapping[str, Any]
    next: Next
    queue: str
    retry: int | RetryKeys
    timeout: Number
    memory: Number
    priority: int | str
    on_error: str
    emit: Emit
    enabled: bool | str
    origin: str
    description: str
    choose: Choose
    collect: int | Mapping[str, Any]
    split: int
    join: str | Sequence[str]
    concurrency: int | str
    rate: str
    lock: str


class ExternalKeys(TypedDict, total=False):
    """
    The keys of a stage that lives in another service: how often and how long it tries is that service's business.
    """

    with_: Mapping[str, Any]
    next: Next
    priority: int | str
    on_error: str
    enabled: bool | str
    origin: str
    description: str
    choose: Choose
    collect: int | Mapping[str, Any]
    split: int
    lock: str


class DefaultKeys(TypedDict, total=False):
    """
    The keys of `defaults`: what holds for every stage that does not say otherwise.
    """

    queue: str
    choose: Choose
    retry: int | RetryKeys
    timeout: Number
    memory: Number
    priority: int | str
    emit: Emit
    lock: str
    concurrency: int | str
    rate: str


class EntityKeys(TypedDict, total=False):
    """
    An entity of a test: an id only where it matters, and values as lists, or alone.
    """

    id: str
    schema: Required[str]
    caption: str
    properties: Mapping[str, Wanted]


class JobKeys(TypedDict, total=False):
    """
    The job of a test.
    """

    entities: Sequence[EntityKeys]
    context: Mapping[str, Any]


class CaseKeys(TypedDict, total=False):
    """
    One of a pipeline's `tests`: the job that the function of `at` returned, and how much of it goes where.
    """

    at: Required[str]
    port: str
    params: Mapping[str, Any]
    job: JobKeys
    expect: Required[Mapping[str, int]]
    description: str
