"""
What can be known of a module without importing it: which package it belongs to, and whether what its functions import
when they are called is installed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType

# The attribute of a module that says so: by function, what to install, and the modules that are then there.
NEEDS_ATTRIBUTE = "__needs__"

# One that says which of its functions need nothing of what it loads late.
EARLY_ATTRIBUTE = "__early__"


@dataclass(frozen=True, slots=True)
class Missing:
    """
    Modules that a function will import and that are not there, and what pip calls the package that brings them.
    """

    modules: tuple[str, ...]
    package: str

    @property
    def sentence(self) -> str:
        """
        What is wrong, to stand after a name.
        """
        are = "is" if len(self.modules) == 1 else "are"
        *first, last = map(repr, self.modules)
        names = f"{', '.join(first)} and {last}" if first else last
        return f"needs {names}, which {are} not installed"

    @property
    def help(self) -> str:
        """
        The next thing to type.
        """
        return f"pip install '{self.package}'"


def module_of(task: str) -> str:
    """
    The module of a task; empty where it names none.
    """
    return task.rpartition(".")[0]


def is_own(module: str) -> bool:
    """
    Whether a module is one of oaflow's own, which do no harm when they are imported.
    """
    return module.startswith("oaflow.")


def is_early(module: ModuleType, function: str) -> bool:
    """
    Whether a function needs nothing of what its module loads late, and says so.
    """
    return function in vars(module).get(EARLY_ATTRIBUTE, ())


def missing(module: ModuleType, function: str) -> Missing | None:
    """
    What a function of a module will not find when it runs.
    """
    needs: Mapping[str, tuple[str, tuple[str, ...]]] = vars(module).get(NEEDS_ATTRIBUTE, {})
    if function not in needs:
        return None
    package, modules = needs[function]
    absent = tuple(name for name in modules if find_spec(name) is None)
    return Missing(absent, package) if absent else None
