"""
What the compiler asks about the functions of a pipeline, and what it is told.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from oaflow.model import StageOptions

# What can be wrong with one function: its module is not there, raises at import, does not answer in time or kills the
# process; the module has no such name; it is no function; it is not decorated; it is a `@task`.
Problem = Literal["no-module", "import-failed", "timeout", "died", "no-function", "not-callable", "undecorated", "task"]


@dataclass(frozen=True)
class Parameter:
    """
    One parameter of a stage function. `kind` is `*` for what takes any positional argument and `**` for any keyword.
    """

    name: str
    required: bool = False
    kind: Literal["positional", "either", "keyword", "*", "**"] = "either"
    annotation: str | None = None


@dataclass(frozen=True)
class Inspected:
    """
    What a function that was found says about itself. `parameters` are in order, the job first; `doc` is the docstring's
    first line.
    """

    options: StageOptions
    is_async: bool = False
    is_generator: bool = False
    parameters: tuple[Parameter, ...] = ()
    returns: str | None = None
    doc: str | None = None


@dataclass(frozen=True)
class InspectionError:
    """
    Why a function could not be used. `detail` is one line (an exception's type and text); `known` are the names that
    the module does have, for "did you mean".
    """

    problem: Problem
    detail: str = ""
    known: tuple[str, ...] = ()


class Inspect(Protocol):
    """
    Looks at functions, named by dotted path, without running any: in a child process with a time limit.
    """

    def __call__(self, tasks: tuple[str, ...], /) -> Mapping[str, Inspected | InspectionError]: ...
