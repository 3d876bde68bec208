"""
The version of a stage's code: the release of its package, and a hash of its source files.
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

# For oaflow's own stages, only the file: they import 190 files of oaflow, too many to read in each process.
_ENGINE = "oaflow"

# With more files than this, it is not a module with its helpers: then only the function's file counts.
_MOST_FILES = 200


class Seen(NamedTuple):
    """
    A file as it was when code was loaded: its modification time in nanoseconds, its size, and a hash. `late`: it was
    not loaded then, but will be when a function needs it.
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


# By function, because a module that is imported again has new ones.
_KNOWN: WeakKeyDictionary[Callable[..., Any], _Code] = WeakKeyDictionary()


def version_of(function: Callable[..., Any]) -> str:
    """
    Identifies the code: the version of its distribution or package, and a short hash of its source file and of the
    modules beside it that it imports. As of the first call, because files may change while a process continues with
    what it has loaded.
    """
    return _known(function).version


def files_of(function: Callable[..., Any]) -> Files:
    """
    The files from which its version was read, as they were then.
    """
    return _known(function).files


def _known(function: Callable[..., Any], read: dict[tuple[str | None, str], _Code] | None = None) -> _Code:
    """
    Args:
        read: what was read for other functions at the same moment, by file and top-level name of their module.
    """
    inner = inspect.unwrap(function)
    if inner not in _KNOWN:
        # Not the module of that name: a function may claim to be where its package re-exports it.
        place = getattr(getattr(inner, "__code__", None), "co_filename", None), inner.__module__.partition(".")[0]
        read = {} if read is None else read
        if place not in read:
            read[place] = _read(*place)
        _KNOWN[inner] = read[place]
    return _KNOWN[inner]


def note_versions(module: ModuleType) -> Files:
    """
    Record the code of the stages in a module that has just been imported, for this process and all that it forks.

    Returns:
        their source files.
    """
    noted: Files = {}
    read: dict[tuple[str | None, str], _Code] = {}  # once for all in one file
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
    A file as it is now, and its content.

    Raises:
        OSError: it cannot be read.
    """
    found = file.stat()  # before it is read: a change meanwhile then counts as another file
    data = file.read_bytes()
    return Seen(found.st_mtime_ns, found.st_size, hashlib.sha256(data).hexdigest()[:16]), data


def sources(file: Path, root: Path, top: str) -> dict[str, Path]:
    """
    The source files of a module, by module name: the module itself, and the modules that these import, at the top or in
    a function, if they are beside it: in its package, or in its folder if it is not installed. Not oaflow, which in a
    clone is beside everything.

    They are found by reading the source instead of `sys.modules`, so that every process finds the same files.

    Args:
        root: the folder of the top-level package or module.
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
    The files that run when a module is imported: its own, and those of the packages that contain it.
    """
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        place = root.joinpath(*parts[:length])
        for file in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if file.is_file():
                yield file


def _imported(file: Path, name: str) -> Iterator[str]:
    """
    The names that a module imports; for `from a import b` both, because b may be a module.
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
