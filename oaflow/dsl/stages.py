"""
`@stage`, and what puts a function in its place in a pipeline.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, ParamSpec, Protocol, TypeVar, Unpack, overload

from oaflow.dsl.calls import Call, caller
from oaflow.dsl.keys import ClosingKeys, EdgeKeys, ExternalKeys, Port, RetryKeys, StageKeys
from oaflow.dsl.options import read_options
from oaflow.dsl.plain import plain
from oaflow.errors import UsageError
from oaflow.model import STAGE_ATTRIBUTE, Emit
from oaflow.model import Out as Out

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True)
class StageUse:
    """
    A stage of a pipeline. `function.stage(...)` and `external(...)` make it, and `Pipeline` reads it.

    Attributes:
        data: the keys of the stage, as a pipeline file has them.
        call: where in the source it was made.
    """

    data: Mapping[str, Any]
    call: Call | None = field(default=None, compare=False, repr=False)


class StageFunction(Protocol[P, R_co, Port]):
    """
    The type of a function decorated with `@stage`, with the ports that it names. At run time the function is still a
    plain function.
    """

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    def stage(self, **keys: Unpack[StageKeys[Port]]) -> StageUse:
        """
        Make a stage of the function, for `Pipeline(stages=...)`.

        Args:
            keys: the keys of a stage in a pipeline file; `with` is written `with_`.
        """
        ...


class _Decorator(Protocol[Port]):
    def __call__(self, function: Callable[P, R_co], /) -> StageFunction[P, R_co, Port]: ...


@overload
def stage(function: Callable[P, R_co], /) -> StageFunction[P, R_co, Literal["default"]]: ...


@overload
def stage(
    *,
    ports: Sequence[Port],
    queue: str | None = None,
    emit: Emit = "success",
    retry: int | RetryKeys | None = None,
    timeout: float | str | None = None,
    memory: int | str | None = None,
    priority: int | None = None,
    accepts: Sequence[str] | None = None,
    emits: Sequence[str] | Mapping[Port, Sequence[str]] | None = None,
) -> _Decorator[Port]: ...


@overload
def stage(
    *,
    queue: str | None = None,
    emit: Emit = "success",
    retry: int | RetryKeys | None = None,
    timeout: float | str | None = None,
    memory: int | str | None = None,
    priority: int | None = None,
    accepts: Sequence[str] | None = None,
    emits: Sequence[str] | Mapping[Literal["default"], Sequence[str]] | None = None,
) -> _Decorator[Literal["default"]]: ...


def stage(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """
    Declare a function as a stage function. The function itself does not change: it can be called and tested as before.

    Args:
        queue: the queue of its jobs, unless the pipeline names another.
        ports: names of all ports that the function emits on. If they are written as a tuple, a type checker knows them,
            too.
        emit: when returned jobs are handed over. `success`: all of them, when the function has returned. `stream`: in
            chunks, while the function runs. `always`: as `success`, and if the last attempt fails, what it had emitted
            before.
        retry: how many times a failed job is repeated after its first attempt, or a mapping with `max`, `backoff`,
            `base` and `cap`.
        timeout: the longest time for one attempt, in seconds or as a duration such as `"30m"`.
        memory: the most memory for one attempt, in bytes or as a size such as `"2GiB"`. An attempt that takes more is
            killed.
        priority: jobs with a higher number go first.
        accepts: FollowTheMoney schemata that the function takes; their descendants are included.
        emits: FollowTheMoney schemata that it emits; their descendants are included. A mapping gives them for each
            port.

    Raises:
        UsageError: there is no such option, a value is of the wrong kind, or what is decorated is not a function.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        name = _dotted(function)
        if isinstance(function, str):
            raise UsageError(f"@stage is given {function!r}, but takes its options by name", help="@stage(queue=...)")
        if not inspect.isroutine(function):
            raise UsageError(
                f"@stage needs a function, but {name} is of type {type(function).__name__}",
                help="a @task function is not a stage: remove @task" if type(function).__name__ == "Task" else None,
            )
        attached = read_options(name, options)

        def use(**keys: Any) -> StageUse:
            return _use(_importable(function), keys, "stage", caller())

        try:
            setattr(function, STAGE_ATTRIBUTE, attached)
        except AttributeError as error:  # one written in C, or the method of an object
            raise UsageError(
                f"@stage needs a Python function, but {name} is of type {type(function).__name__}",
                help="write a function that calls it",
            ) from error
        setattr(function, "stage", use)  # noqa: B010 - a function has no such attribute for the type checker
        return function

    return decorate if function is None else decorate(function)


def external(task: str, *, queue: str, **keys: Unpack[ExternalKeys]) -> StageUse:
    """
    Make a stage whose task runs in another service. Its function is not imported here.

    Args:
        task: name of the task in the service.
        queue: the queue that the service takes jobs from.
        keys: the keys of a stage in a pipeline file. The keys of `next` are the queues that the service hands over to.
    """
    return _use(task, {"queue": queue, **keys, "external": True}, "external", caller())


@overload
def recurse(to: str, depth: int) -> ClosingKeys: ...


@overload
def recurse(to: str, depth: int, *, port: Port) -> EdgeKeys[Port]: ...


def recurse(to: str, depth: int, *, port: str | None = None) -> Any:
    """
    Make an edge that leads back to an earlier stage.

    Args:
        to: the stage that it leads to.
        depth: how many times a job, with those that it came from, may go along this edge.
        port: the port that the edge leaves from; None if the edge stands under its port in `next`.
    """
    closing: ClosingKeys = {"to": to, "recurse": depth}
    return closing if port is None else {**closing, "port": port}


def _use(task: str, keys: Mapping[str, Any], method: str, call: Call | None) -> StageUse:
    if method == "stage" and (foreign := [key for key in ("task", "external", "with") if key in keys]):
        known = (
            "`with` is written `with_`"
            if foreign == ["with"]
            else "use external(...) for a function of another service"
        )
        raise UsageError(f"function.stage() takes no {foreign[0]!r}", help=known)
    said = {"with" if key == "with_" else key: value for key, value in keys.items() if value is not None}
    plainly = {key: plain(value, f"{key!r} of stage {task}") for key, value in said.items()}
    return StageUse({"task": task, **plainly}, call)


def _dotted(function: Any) -> str:
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', type(function).__name__)}"


def _importable(function: Callable[..., Any]) -> str:
    name = _dotted(function)
    if name.endswith("<lambda>"):
        raise UsageError(f"{name} has no name that a worker could import", help="write it with `def` at the top level")
    if "<locals>" in name:
        raise UsageError(
            f"{name} is defined inside a function, so no worker can import it",
            help="move it to the top level of its module",
        )
    if "." in getattr(function, "__qualname__", ""):
        raise UsageError(
            f"{name} is defined in a class, so no worker can import it", help="move it to the top level of its module"
        )
    return name
