"""
Which code a stage is: the release that it is of, and what stands in the files that it is made of.
"""

import ast
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from oaflow.model import stage_options

# Of oaflow's own stages the file alone: they import 190 files of it, more than is to be read in each process.
_ENGINE = "oaflow"

# More files than that are no module with its helpers: then it is of the function's file alone.
_MOST_FILES = 200

# By function, as a module that is imported anew has others.
_KNOWN: WeakKeyDictionary[Callable[..., Any], str] = WeakKeyDictionary()


def version_of(function: Callable[..., Any]) -> str:
    """
    Which code this is: the version of its distribution or package, and a short hash of the source that it stands in and
    of the modules beside it that this imports. As it was when this was first asked: files may change under a process
    that goes on with what it has loaded.
    """
    inner = inspect.unwrap(function)
    if inner not in _KNOWN:
        _KNOWN[inner] = _read(inner)
    return _KNOWN[inner]


def note_versions(module: ModuleType) -> None:
    """
    Note which code the stages of a module are that has just been imported: for this process, and all that it forks.
    """
    for found in list(vars(module).values()):
        if inspect.isfunction(found) and stage_options(found) is not None:
            version_of(found)


def _read(inner: Callable[..., Any]) -> str:
    top = inner.__module__.partition(".")[0]
    try:
        release = metadata.version(top)
    except metadata.PackageNotFoundError:
        release = str(getattr(sys.modules.get(top), "__version__", ""))
    try:
        # Not of the module by its name: a function may say that it stands where its package shows it.
        digest = _digest(Path(inner.__code__.co_filename), top)
    except (AttributeError, OSError):
        return release
    return f"{release}+{digest}" if release else digest


def _digest(file: Path, top: str) -> str:
    root = _root_of(file)
    beside = {} if top == _ENGINE else sources(file, root, top)
    whole = hashlib.sha256(file.read_bytes())
    for name in sorted(beside):
        if beside[name] != file:
            whole.update(f"\x00{name}\x00".encode())
            whole.update(beside[name].read_bytes())
    return whole.hexdigest()[:8]


def sources(file: Path, root: Path, top: str) -> dict[str, Path]:
    """
    The files that a module is made of, by the names of their modules: itself, and of what these import, at their top or
    within a function, what stands beside it: in its package, or, where that was not installed, in its folder. Not
    oaflow, which a clone of it has beside everything.

    Read, and not asked of what was imported: the same files are the same code in every process.

    Args:
        root: the folder that the top-level package or module lies in.
        top: its name.
    """
    anybody = not any(root.glob("*.dist-info"))
    found: dict[str, Path] = {}
    waiting = [file]
    while waiting and len(found) < _MOST_FILES:
        here = waiting.pop()
        name = _name_of(here, root)
        if name in found:
            continue
        found[name] = here
        for other in _imported(here, name):
            of = other.partition(".")[0]
            if of == top or (anybody and of != _ENGINE):
                waiting.extend(path for path in _ways_to(other, root) if path not in found.values())
    return found if len(found) < _MOST_FILES else {}


def _root_of(file: Path) -> Path:
    folder = file.parent
    while (folder / "__init__.py").exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _name_of(file: Path, root: Path) -> str:
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _ways_to(name: str, root: Path) -> Iterator[Path]:
    """
    The files that are run when a module is imported: its own, and those of the packages that it is in.
    """
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        place = root.joinpath(*parts[:length])
        for file in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if file.is_file():
                yield file


def _imported(file: Path, name: str) -> Iterator[str]:
    """
    The names that a module imports; of `from a import b` both, as b may be a module.
    """
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                above = package.split(".")[: len(package.split(".")) - (level - 1)] if level and package else []
                base = ".".join([*above, *([module] if module else [])])
                yield from ([base] if base else [])
                yield from (f"{base}.{alias.name}" if base else alias.name for alias in names)
            case _:
                pass
