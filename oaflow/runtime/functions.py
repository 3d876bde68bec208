"""
Finds the function behind a task's name, and what must be known about it before it is called.
"""

import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter
from itertools import chain, filterfalse
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from oaflow.errors import OaflowError
from oaflow.hints import hints_of
from oaflow.jobs import Job
from oaflow.model import stage_options
from oaflow.packages import missing
from oaflow.runtime.versions import note_versions, version_of

Function = Callable[..., Any]


class TaskError(OaflowError):
    """
    A task's name does not lead to a function that can run as a stage.
    """

    def __init__(self, task: str, problem: str, *, help: str | None = None) -> None:
        self.task, self.problem = task, problem
        super().__init__(f"task {task!r}: {problem}", help=help)


@dataclass(frozen=True, slots=True)
class Loaded:
    """
    A stage function that was found.

    Attributes:
        models: the job classes that its first parameter is annotated with, if one is the author's own: a job is read as
            the first that accepts it.
        adapters: for each annotated option, the adapter that reads its value from JSON.
        needs: the options without a default.
        options: all options; None if the function takes any.
    """

    task: str
    function: Function
    is_async: bool
    version: str
    models: tuple[type[Job], ...]
    adapters: Mapping[str, TypeAdapter[Any]]
    needs: tuple[str, ...] = ()
    options: tuple[str, ...] | None = None

    def arguments(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """
        The options of a plan, converted to the function's annotations: a path is a text in JSON and a Path in Python.

        Raises:
            TaskError: a value does not fit its annotation.
        """
        return {name: self._argument(name, value) for name, value in options.items()}

    def _argument(self, name: str, value: Any) -> Any:
        adapter = self.adapters.get(name)
        if adapter is None:
            return value
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            raise TaskError(self.task, f"option {name!r} is {value!r}: {error.errors()[0]['msg']}") from None


def load(task: str) -> Loaded:
    """
    Import the module of a task and inspect its function.

    Raises:
        TaskError: the module cannot be imported, or has no decorated function of that name, or a package that the
            function will import is not installed.
    """
    module_name, _, name = task.rpartition(".")
    if not module_name:
        raise TaskError(task, "is not a dotted path of a function", help="package.module.function")
    fresh = module_name not in sys.modules
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise TaskError(task, f"importing {module_name!r} failed: {type(error).__name__}: {error}") from error
    if fresh:
        note_versions(module)
    function: Any = getattr(module, name, None)
    if not callable(function):
        raise TaskError(task, f"module {module_name!r} has no function {name!r}")
    if stage_options(function) is None:
        raise TaskError(task, "is not decorated with @stage", help="from oaflow import stage")
    if absent := missing(module, name):
        raise TaskError(task, absent.sentence, help=absent.help)
    return loaded(task, function, version_of(function))


def loaded(task: str, function: Function, version: str) -> Loaded:
    """
    What must be known about a function before it is called.
    """
    inner = inspect.unwrap(function)
    is_async = inspect.iscoroutinefunction(inner) or inspect.isasyncgenfunction(inner)
    # An annotation that cannot be resolved is ignored.
    hints = hints_of(inner)
    try:
        parameters = list(inspect.signature(inner).parameters.values())
    except (TypeError, ValueError):
        parameters = list[Parameter]()
    models = _classes(hints.get(parameters[0].name)) if parameters else ()
    # The classes that accept any job come last.
    models = (*filter(_is_own, models), *filterfalse(_is_own, models)) if any(map(_is_own, models)) else ()
    adapters: dict[str, TypeAdapter[Any]] = {}
    for parameter in parameters[1:]:
        if parameter.name in hints:
            try:
                adapters[parameter.name] = TypeAdapter(hints[parameter.name])
            except Exception:  # an annotation that pydantic cannot read: the value is passed unchanged
                continue
    needs, options = _options(parameters)
    return Loaded(task, function, is_async, version, models, adapters, needs, options)


def _options(parameters: Sequence[Parameter]) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """
    The required options of a function, and all that it takes, None for any.
    """
    named = [one for one in parameters[1:] if one.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)]
    needs = tuple(one.name for one in named if one.default is Parameter.empty)
    takes_any = not parameters or any(one.kind is Parameter.VAR_KEYWORD for one in parameters)
    return needs, None if takes_any else tuple(one.name for one in named)


def _is_own(model: type[Job]) -> bool:
    return not model.__module__.startswith("oaflow.")


def _classes(hint: Any) -> tuple[type[Job], ...]:
    """
    The classes of jobs that an annotation names; empty if it allows anything else, too.
    """
    if isinstance(hint, type):
        return (hint,) if issubclass(hint, Job) else ()
    if isinstance(hint, TypeVar):
        return _of_each(hint.__constraints__ or (hint.__bound__,))
    if get_origin(hint) in (Union, UnionType):
        return _of_each(one for one in get_args(hint) if one is not NoneType)
    # `type Letters = Post | Mail`
    return _classes(hint.__value__) if hasattr(hint, "__value__") else ()


def _of_each(hints: Iterable[Any]) -> tuple[type[Job], ...]:
    each = [_classes(hint) for hint in hints]
    return tuple(dict.fromkeys(chain.from_iterable(each))) if all(each) else ()
