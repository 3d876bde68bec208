"""
The keys of a pipeline as types, so that a type checker finds a misspelled key while it is typed. It finds a misspelled
port, too, where the function of the stage names its ports in a tuple.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, Literal, NotRequired, Required, TypeAlias, TypedDict, TypeVar

from oaflow.model import Choose, Emit

# A number, or a text such as "${params.timeout}", "30m", "2GiB".
Number: TypeAlias = "int | float | str"


class CollectKeys(TypedDict, total=False):
    """
    `collect` written out.
    """

    size: Required[int | str]
    wait: Number


class RetryKeys(TypedDict, total=False):
    """
    `retry` written out. `max` is the number of repetitions after the first attempt, `base` and `cap` are durations.
    """

    max: int | str
    backoff: Literal["none", "exponential"]
    base: Number
    cap: Number


# The mapping form of `where`: to each key the values of which one is wanted; under `not` another such mapping.
Wanted: TypeAlias = "str | Sequence[str]"
Where: TypeAlias = "Mapping[str, Wanted | Mapping[str, Wanted]]"

Port = TypeVar("Port", bound=str)

# `else` is a word of Python, so it is the key of a mapping.
_Else = TypedDict("_Else", {"else": NotRequired[bool]})


class _EdgeWords(TypedDict, Generic[Port]):
    to: str
    port: NotRequired[Port]
    recurse: NotRequired[int]
    where: NotRequired[str | Where]
    when: NotRequired[str]
    load: NotRequired[bool]


class EdgeKeys(_Else, _EdgeWords[Port], Generic[Port]):
    """
    The keys of an edge.
    """


# `next` with one of these is an edge, so no port has such a name.
EDGE_WORDS = frozenset(EdgeKeys.__required_keys__ | EdgeKeys.__optional_keys__)


class ClosingKeys(TypedDict):
    """
    An edge that closes a cycle, of whatever port it stands under: what `recurse` gives.
    """

    to: str
    recurse: int


Target: TypeAlias = "str | EdgeKeys[Port] | ClosingKeys"
Targets: TypeAlias = "Target[Port] | Sequence[Target[Port]]"
Next: TypeAlias = "Targets[Port] | Mapping[Port, Targets[Port]]"


class StageKeys(TypedDict, Generic[Port], total=False):
    """
    The keys of a stage, as in a pipeline file; `with` is a word of Python, and written `with_`.
    """

    with_: Mapping[str, Any]
    next: Next[Port]
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
    collect: int | str | CollectKeys
    split: int
    join: str | Sequence[str]
    concurrency: int | str
    rate: str
    lock: str


class ExternalKeys(TypedDict, total=False):
    """
    The keys of a stage that runs in another service. That service decides over retries, timeout and memory.
    """

    with_: Mapping[str, Any]
    next: Next[str]
    priority: int | str
    on_error: str
    emit: Emit
    enabled: bool | str
    origin: str
    description: str
    choose: Choose
    collect: int | str | CollectKeys
    split: int
    join: str | Sequence[str]
    lock: str


class DefaultKeys(TypedDict, total=False):
    """
    The keys of `defaults`, which hold for every stage that does not have the key itself.
    """

    queue: str
    choose: Choose
    retry: int | RetryKeys
    timeout: Number
    memory: Number
    priority: int | str
    emit: Emit
    collect: int | str | CollectKeys
    lock: str
    concurrency: int | str
    rate: str


class EntityKeys(TypedDict, total=False):
    """
    An entity of a test. It needs an id only if the test names it; a property has a list of values, or a single one.
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
    payload: Mapping[str, Any]


class CaseKeys(TypedDict, total=False):
    """
    One of the `tests` of a pipeline: a job that the function of the stage `at` returns, and how much of it is expected
    at which stages.
    """

    at: Required[str]
    port: str
    params: Mapping[str, Any]
    job: JobKeys
    expect: Required[Mapping[str, int]]
    description: str
