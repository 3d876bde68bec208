"""
A plugin of pytest, which only pytest loads: each pipeline of a project is checked, and its own tests are tried.

Pipelines that are named on the command line are collected wherever they stand.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from oaflow.diagnostics import errors
from oaflow.operations.programs import Source, load
from oaflow.operations.trying import Tried, trial_of
from oaflow.rendering import render
from oaflow.visible import visible

FOLDER = "pipelines"


def collector(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """
    What collects the tests of a file; None where it holds no pipeline.
    """
    if file_path.suffix not in (".yml", ".yaml"):
        return None
    if file_path.parent.name != FOLDER and not parent.session.isinitpath(file_path):
        return None
    return PipelineFile.from_parent(parent, path=file_path)


class PipelineFile(pytest.File):
    """
    A pipeline: that it has no mistake is one test, and each of its own is one more.
    """

    def collect(self) -> Iterator[pytest.Item]:
        source = Source(str(self.path), file=self.path)
        program = load(source, imports=False)
        yield CheckItem.from_parent(self, name="check", source=source)
        if not errors(program.diagnostics):
            for tried in trial_of(program).tried:
                yield TriedItem.from_parent(self, name=visible(tried.name), tried=tried)


class Difference(Exception):
    """
    A pipeline is not as it should be. The text says all that there is to know.
    """


class _Item(pytest.Item):
    # As functions and doctests have them: pytest-lsp breaks every item that has none.
    funcargs: Mapping[str, object] = MappingProxyType({})

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        # No traceback: nobody's code has failed.
        return str(excinfo.value) if isinstance(excinfo.value, Difference) else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.name


class CheckItem(_Item):
    """
    That a pipeline has no mistake, and its functions are there: as `oaflow check` has it.
    """

    def __init__(self, *, source: Source, **keys: Any) -> None:
        super().__init__(**keys)
        self._source = source

    def runtest(self) -> None:
        found = load(self._source).diagnostics
        if errors(found):
            raise Difference(render(found, "text"))


class TriedItem(_Item):
    """
    One of a pipeline's own tests.
    """

    def __init__(self, *, tried: Tried, **keys: Any) -> None:
        super().__init__(**keys)
        self._tried = tried

    def runtest(self) -> None:
        if not self._tried.passed:
            raise Difference("\n".join(self._tried.differences))
