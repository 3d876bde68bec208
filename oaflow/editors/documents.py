"""
All that is known of the text of a pipeline file while somebody types it. Pure: functions are looked at by others.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from oaflow.compiler.checking import Checked, check_data, failed
from oaflow.compiler.functions import Inspected, InspectionError
from oaflow.diagnostics import Spans
from oaflow.editors.places import Named, all_named, mapping_at
from oaflow.editors.texts import Text, Units
from oaflow.loader import Loaded, load_text
from oaflow.loader.unfinished import load_unfinished

Functions = Mapping[str, Inspected | InspectionError]

_PIPELINE = re.compile(r"^(?:pipeline|stages)[ \t]*:", re.MULTILINE)


@dataclass(frozen=True)
class Document:
    """
    A text, and what is said about it.

    Attributes:
        name: the path of the file.
        units: what the editor counts in a line.
        functions: what was found of the functions when they were last looked at, by task. None: nobody has looked.
    """

    source: str
    name: str | None = None
    units: Units = "utf-16"
    functions: Functions | None = None

    @property
    def is_pipeline(self) -> bool:
        """
        Whether it looks like a pipeline: editors hand over every YAML file.
        """
        return _PIPELINE.search(self.source) is not None

    @cached_property
    def text(self) -> Text:
        return Text(self.source, self.units)

    @cached_property
    def checked(self) -> Checked:
        """
        All that the compiler has to say of the text. No module is imported: of functions that nobody has looked at
        nothing is said. Where the checks themselves fail, that is said.
        """
        try:
            loaded = load_text(self.source, self.name)
            if loaded.data is None:
                return Checked(None, None, loaded.diagnostics)
            return check_data(loaded.data, loaded.spans, None if self.functions is None else self._known)
        except Exception as error:  # a mistake of ours: an editor shows it where mistakes are, and types on
            return Checked(None, None, (failed(error, self.name),))

    def _known(self, tasks: tuple[str, ...], /) -> Functions:
        return {task: found for task, found in (self.functions or {}).items() if task in tasks}

    @cached_property
    def _loaded(self) -> Loaded:
        return load_unfinished(self.source)

    @property
    def data(self) -> Any:
        """
        What can be read of it, finished or not.
        """
        return self._loaded.data

    @property
    def spans(self) -> Spans:
        return self._loaded.spans

    @cached_property
    def stages(self) -> Mapping[str, Any]:
        return mapping_at(self.data, "stages")

    @cached_property
    def params(self) -> Mapping[str, Any]:
        return mapping_at(self.data, "params")

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """
        The functions of its stages, external ones left out.
        """
        stages = [stage for stage in self.stages.values() if isinstance(stage, Mapping)]
        tasks = [stage.get("task") for stage in stages if stage.get("external") is not True]
        return tuple(dict.fromkeys(task for task in tasks if isinstance(task, str) and "." in task))

    @cached_property
    def named(self) -> tuple[Named, ...]:
        """
        All places where stages and params are named.
        """
        return tuple(all_named(self.data, self.spans))

    def function_of(self, stage: str) -> Inspected | None:
        """
        What is known of the function of a stage.
        """
        task = mapping_at(self.stages, stage).get("task")
        found = (self.functions or {}).get(task) if isinstance(task, str) else None
        return found if isinstance(found, Inspected) else None
