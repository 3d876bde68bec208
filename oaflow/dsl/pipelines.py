"""
`Param` and `Pipeline`: a pipeline declared in Python, held as the plain data that a file would be.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any, TypeVar, cast, get_args

from oaflow.diagnostics import Diagnostic, Path, Spans
from oaflow.dsl.calls import Call, Place, caller, places
from oaflow.dsl.keys import CaseKeys, DefaultKeys
from oaflow.dsl.plain import plain
from oaflow.dsl.stages import StageUse
from oaflow.errors import UsageError
from oaflow.model import ParamType, stage_options


class Param:
    """
    A value that each run may set.

    Args:
        type: a Python type (`str`, `int`, `float`, `bool`, `Path`, or a `list[...]` of these), or a type of the
            pipeline file (`"duration"`, `"size"`, `"choice"`, ...).
        of: type of the items, if `type` is `"list"`.
        default: the value of runs that do not set it.
        required: whether each run must set it.
        help: a description for people.
        choices: the values that are allowed.
        env: name of an environment variable that gives the value where the command does not.
        positional: whether it takes the arguments of `oaflow run` that have no name.
        remember: whether a run that does not set it takes the value of the last run of the dataset.
    """

    def __init__(
        self,
        type: type[Any] | ParamType = "string",
        /,
        *,
        of: ParamType | None = None,
        default: object = None,
        required: bool = False,
        help: str | None = None,
        choices: Sequence[object] | None = None,
        env: str | None = None,
        positional: bool = False,
        remember: bool = False,
    ) -> None:
        name, items = _param_type(type)
        said: dict[str, Any] = {
            "type": name,
            "of": of or items,
            "default": default,
            "required": required or None,
            "help": help,
            "choices": choices,
            "env": env,
            "positional": positional or None,
            "remember": remember or None,
        }
        self.data: Mapping[str, Any] = {
            key: plain(value, f"{key!r} of a param") for key, value in said.items() if value is not None
        }
        self.call = caller()


class Pipeline:
    """
    A pipeline, declared in Python.

    Mistakes in it are found when it is checked or run, not here.

    Args:
        name: of the pipeline.
        stages: stages by name, each made by `function.stage(...)` or `external(...)`. Their `next` refers to these
            names.
        params: params by name.
        defaults: keys that hold for every stage that does not have them.
        start: the stage or stages that a run begins with; None: the one that no other stage leads to.
        description: what it is for.
        tests: jobs, and where they are expected to go.

    Attributes:
        data: the pipeline as plain data, with the keys of a pipeline file.
        file: the file that it was read from; None if it was declared in Python.
    """

    def __init__(
        self,
        name: str,
        *,
        stages: Mapping[str, StageUse],
        params: Mapping[str, Param] | None = None,
        defaults: DefaultKeys | None = None,
        start: str | Sequence[str] | None = None,
        description: str | None = None,
        tests: Sequence[CaseKeys] | None = None,
    ) -> None:
        _named("stages", stages, "{'read': read.stage()}")
        _named("params", params or {}, "{'source': Param(str)}")
        declared = {key: _declared(param, Param, "param", key) for key, param in (params or {}).items()}
        uses = {key: _declared(use, StageUse, "stage", key) for key, use in stages.items()}
        said: dict[str, Any] = {
            "pipeline": name,
            "description": description,
            "params": {key: param.data for key, param in declared.items()} or None,
            "defaults": defaults,
            "start": start,
            "stages": {key: use.data for key, use in uses.items()},
            "tests": tests,
        }
        self.data: Mapping[str, Any] = {
            key: plain(value, f"{key!r} of pipeline {name!r}") for key, value in said.items() if value is not None
        }
        self.file: str | None = None
        self._spans: Spans | None = None
        self._calls: dict[Path, Call | None] = {(): caller()}
        self._calls |= {("params", key): param.call for key, param in declared.items()}
        self._calls |= {("stages", key): use.call for key, use in uses.items()}

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str]) -> Pipeline:
        """
        Read a pipeline file.

        Raises:
            UsageError: there is no such file, or it is not YAML. Other mistakes are found when the pipeline is checked
                or run.
        """
        # Loaded here: a module that declares its pipelines in Python never reads YAML.
        from oaflow.loader import load

        loaded = load(FilePath(path))
        if not isinstance(loaded.data, Mapping):
            raise _unread(os.fspath(path), loaded.diagnostics)
        pipeline = cls.__new__(cls)
        pipeline.data = cast("Mapping[str, Any]", loaded.data)
        pipeline.file, pipeline._spans, pipeline._calls = os.fspath(path), loaded.spans, {}
        return pipeline

    @property
    def placed(self) -> dict[Path, Place]:
        """
        Where the pipeline (under the empty path), its params and its stages were declared in Python.
        """
        called = {path: call for path, call in self._calls.items() if call is not None}
        return dict(zip(called, places(called.values()), strict=True))

    @property
    def spans(self) -> Spans:
        """
        The place of each key and value, for messages. If the pipeline was declared in Python, its source is read for
        that.
        """
        if self._spans is None:
            from oaflow.dsl.sources import spans_of

            self._spans = spans_of(self.placed)
        return self._spans

    def to_yaml(self) -> str:
        """
        The text of a pipeline file that means the same: its plan has the same digest.

        Raises:
            PipelineError: something in the pipeline has the wrong shape, such as a text where a mapping must be.
        """
        # Loaded here, as above.
        from oaflow.compiler import PipelineError, parse_pipeline
        from oaflow.compiler.writing import as_data, is_apart
        from oaflow.loader import written

        pipeline, found = parse_pipeline(self.data)
        if pipeline is None:
            raise PipelineError(str(self.data.get("pipeline")), found)
        return written(as_data(pipeline), is_apart)

    def __repr__(self) -> str:
        return f"<Pipeline {self.data.get('pipeline')!r}: {', '.join(self.data.get('stages', ()))}>"


def _unread(path: str, diagnostics: Sequence[Diagnostic]) -> UsageError:
    if not diagnostics:
        return UsageError(f"{path} has no pipeline: its top level is not a mapping", help="begin with `pipeline: NAME`")
    first = diagnostics[0]
    place = f"{path}:{first.span.line}:{first.span.column}: " if first.span.line else ""
    return UsageError(f"{place}{first.message}", help=first.help)


_Declared = TypeVar("_Declared")


def _named(what: str, value: object, example: str) -> None:
    if not isinstance(value, Mapping):
        said = f"{what!r} of the pipeline is of type {type(value).__name__}, but must be a mapping from names"
        raise UsageError(said, help=f"{what}={example}")


def _declared(value: object, kind: type[_Declared], what: str, name: str) -> _Declared:
    if isinstance(value, kind):
        return value
    help = f"write {name}.stage(...)" if stage_options(value) else "write function.stage(...), or external(...)"
    raise UsageError(
        f"{what} {name!r} of the pipeline is of type {type(value).__name__}",
        help=help if what == "stage" else "write Param(...)",
    )


_TYPES: Mapping[Any, str] = {str: "string", int: "int", float: "float", bool: "bool", FilePath: "path", list: "list"}


def _param_type(given: Any) -> tuple[str, str | None]:
    if getattr(given, "__origin__", None) is list:
        (item,) = get_args(given)
        return "list", _param_type(item)[0]
    if isinstance(given, str):
        return given, None
    if given in _TYPES:
        return _TYPES[given], None
    raise UsageError(
        f"{getattr(given, '__name__', given)} is not a type for a param",
        help=f"one of {', '.join(kind.__name__ for kind in _TYPES)}, or a word: {', '.join(get_args(ParamType))}",
    )
