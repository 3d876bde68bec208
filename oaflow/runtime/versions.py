"""
The version of a stage's code: the release of its package, and a hash of the files that it is made of.
"""

import ast
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from oaflow.model import stage_options

# Of oaflow's own stages the file alone: they import 190 files of it, more than is to be read in each process.
_ENGINE = "oaflow"

# More files than that are no module with its helpers: then it is of the function's file alone.
_MOST_FILES = 200


class Seen(NamedTuple):
    """
    A file as it was when code was loaded: when it was changed last, in nanoseconds, its size, and a hash. `late`: this
    one was not loaded then, but is when a function needs it.
    """

    changed: int
    size: int
    digest: str
    late: bool = False


# By path.
Files = dict[str, Seen]


class _Code(NamedTuple):
    version: str
    files: Files


# By function, as a module that is imported anew has others.
_KNOWN: WeakKeyDictionary[Callable[..., Any], _Code] = WeakKeyDictionary()


def version_of(function: Callable[..., Any]) -> str:
    """
    Which code this is: the version of its distribution or package, and a short hash of the source that it stands in and
    of the modules beside it that this imports. As it was when this was first asked: files may change under a process
    that goes on with what it has loaded.
    """
    return _known(function).version


def files_of(function: Callable[..., Any]) -> Files:
    """
    The files that its version was read from, as they were then.
    """
    return _known(function).files


def _known(function: Callable[..., Any], read: dict[tuple[str | None, str], _Code] | None = None) -> _Code:
    """
    Args:
        read: what was read for others at the same moment, by the file and the top of the module that they stand in.
    """
    inner = inspect.unwrap(function)
    if inner not in _KNOWN:
        # Not of the module by its name: a function may say that it stands where its package shows it.
        place = getattr(getattr(inner, "__code__", None), "co_filename", None), inner.__module__.partition(".")[0]
        read = {} if read is None else read
        if place not in read:
            read[place] = _read(*place)
        _KNOWN[inner] = read[place]
    return _KNOWN[inner]


def note_versions(module: ModuleType) -> Files:
    """
    Note which code the stages of a module are that has just been imported: for this process, and all that it forks.

    Returns:
        the files that they are made of.
    """
    noted: Files = {}
    read: dict[tuple[str | None, str], _Code] = {}  # once for all that stand in one file
    for found in list(vars(module).values()):
        if inspect.isfunction(found) and stage_options(found) is not None:
            noted |= _known(found, read).files
    return noted


def _read(file: str | None, top: str) -> _Code:
    try:
        release = metadata.version(top)
    except metadata.PackageNotFoundError:
        release = str(getattr(sys.modules.get(top), "__version__", ""))
    if file is None:
        return _Code(release, {})
    try:
        digest, files = _digest(Path(file), top)
    except OSError:
        return _Code(release, {})
    return _Code(f"{release}+{digest}" if release else digest, files)


def _digest(file: Path, top: str) -> tuple[str, Files]:
    root = _root_of(file)
    beside = {} if top == _ENGINE else sources(file, root, top)
    files: Files = {}
    whole = hashlib.sha256(_noted(file, files))
    for name in sorted(beside):
        if beside[name] != file:
            whole.update(f"\x00{name}\x00".encode())
            whole.update(_noted(beside[name], files, late=name not in sys.modules))
    return whole.hexdigest()[:8], files


def _noted(file: Path, files: Files, *, late: bool = False) -> bytes:
    seen, data = look_at(file)
    files[str(file)] = seen._replace(late=late)
    return data


def look_at(file: Path) -> tuple[Seen, bytes]:
    """
    A file as it is now, and what is in it.

    Raises:
        OSError: it cannot be read.
    """
    found = file.stat()  # before it is read: what is changed meanwhile is another file then
    data = file.read_bytes()
    return Seen(found.st_mtime_ns, found.st_size, hashlib.sha256(data).hexdigest()[:16]), data


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
