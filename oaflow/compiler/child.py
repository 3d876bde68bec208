"""
The process that imports what authors wrote, and says what it found. Runs no stage function.

Started by `oaflow.compiler.functions`, which kills it when an import takes too long. It answers on a pipe of its own,
a JSON array a line, so that what an import prints harms nothing. `inspect_here` looks without a child, for a process
that is going to call the functions itself.
"""

import importlib
import inspect
import json
import os
import pkgutil
import shlex
import sys
import traceback
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

from oaflow.compiler.checkers import annotations_of
from oaflow.compiler.functions import Inspected, InspectionError, Parameter, inspected, module_of, python, short
from oaflow.compiler.lineages import returned, sent, taken, unseen
from oaflow.compiler.outs import is_mute, outs_of
from oaflow.errors import OaflowError
from oaflow.hints import hints_of, written
from oaflow.model import STAGE_ATTRIBUTE, stage_options
from oaflow.packages import missing

# What is wrong with a declaration is found in here, and stands in the author's file.
_DSL = os.path.join(os.path.dirname(os.path.dirname(__file__)), "dsl")

# How far below a folder a module is looked for that is not in it, in how many folders, and among how many entries.
_DEEP = 3
_MOST_FOLDERS = 300
_MOST_ENTRIES = 1000

_KINDS: Mapping[Any, Any] = {
    inspect.Parameter.POSITIONAL_ONLY: "positional",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "either",
    inspect.Parameter.KEYWORD_ONLY: "keyword",
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}


def main(request: str) -> None:
    """
    Answer for each name, then leave at once: threads and exit hooks of what was imported are not waited for.
    """
    asked = json.loads(request)
    answers: int = asked["answers"]
    os.set_inheritable(answers, False)
    sys.path[:0] = [folder for folder in asked["folders"][:1] if folder not in sys.path]
    sys.path += [folder for folder in asked["folders"][1:] if folder not in sys.path]
    importing = None
    for name in asked["names"]:
        if module_of(name) != importing:
            importing = module_of(name)
            _tell(answers, "importing", importing)
        found = look(name, tuple(Path(folder) for folder in asked["folders"]))
        _tell(answers, "answer", [name, asdict(found) if isinstance(found, InspectionError) else found])
    _tell(answers, "end", None)
    os._exit(0)


def inspect_here(tasks: tuple[str, ...], /) -> Mapping[str, Inspected | InspectionError]:
    """
    An `Inspect` that imports the functions in this process: for one that is going to call them.
    """
    found = {name: look(name) for name in tasks}
    return {name: one if isinstance(one, InspectionError) else inspected(one) for name, one in found.items()}


def _tell(answers: int, kind: str, value: Any) -> None:
    line = json.dumps([kind, value]).encode() + b"\n"
    while line:
        line = line[os.write(answers, line) :]


def look(name: str, folders: tuple[Path, ...] = ()) -> dict[str, Any] | InspectionError:
    """
    What there is to say about a stage or a pipeline of that name. Imports its module here.

    Args:
        folders: where the author's modules are; one that is in none of them may lie in a folder below.
    """
    module_name = module_of(name)
    if not module_name:
        return InspectionError("no-module", f"{name!r} names no module", _modules_beside(""))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            if inspect.isclass(_there(error.name)):
                detail = f"{error.name!r} is a class, but workers look for functions in modules"
                return InspectionError("no-module", detail, help="move the function to the top level of its module")
            beside, help = _modules_beside(error.name), _elsewhere(name, error.name) or _below(name, folders)
            return InspectionError("no-module", f"no module is named {error.name!r}", beside, help)
        return InspectionError("import-failed", _raised(error), help=_to_install(module_name, error.name))
    except ImportError as error:
        return InspectionError("import-failed", _raised(error), help=_without_dots(error, module_name))
    except OaflowError as error:  # the author's declaration is wrong, and says what to write
        return InspectionError("import-failed", _raised(error), help=error.help or "")
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        return InspectionError("import-failed", _raised(error))
    attribute = name[len(module_name) + 1 :]
    try:
        found = getattr(module, attribute)
    except AttributeError:
        known = tuple(known_names(vars(module), ":" in name))
        return InspectionError("no-function", known=known, help=_hidden(module_name, module))
    except Exception as error:
        return InspectionError("no-function", _raised(error))
    try:
        if ":" in name:
            return _pipeline(found, vars(module))
        if absent := missing(module, attribute):
            return InspectionError("not-installed", absent.sentence, help=absent.help)
        return _function(found)
    # Whatever an author's object does when it is looked at is a finding about that object.
    except Exception as error:
        return InspectionError("not-callable", _raised(error))


def _there(name: str) -> Any:
    """
    What stands under a dotted name in a module that was imported; None where nothing does.
    """
    module, _, attribute = name.rpartition(".")
    return getattr(sys.modules.get(module), attribute, None)


def _elsewhere(task: str, module: str) -> str:
    """
    What to do about a module that is there, but not where it is looked for: its file was named, or it lies in `src`.
    """
    plain, dot, rest = task.partition(".py.")
    if dot:
        return f"write {f'{plain}.{rest}'!r}"
    top = module.partition(".")[0]
    for folder in dict.fromkeys(each for path in sys.path for each in (Path(path), Path(path).parent)):
        if (folder / "src" / top).is_dir() or (folder / "src" / f"{top}.py").is_file():
            place, project = (shlex.quote(short(str(one))) for one in (folder / "src", folder))
            return f"it is in {place}: export PYTHONPATH={place}, or {python()} -m pip install -e {project}"
    return ""


def _below(task: str, folders: Iterable[Path]) -> str:
    """
    What to do about a module that lies in a folder below those where it is looked for.
    """
    mark = ":" if ":" in task else "."
    module, _, function = task.rpartition(mark)
    name = module.rpartition(".")[2]
    for folder in folders:
        for below in _folders_below(folder):
            if (below / f"{name}.py").is_file() or (below / name / "__init__.py").is_file():
                parts = below.relative_to(folder).parts
                place = shlex.quote(short(str(below)))
                if all(part.isidentifier() for part in parts):
                    return f"it is in {place}: write '{'.'.join((*parts, name))}{mark}{function}'"
                plain = f"{name}{mark}{function}"
                then = "" if plain == task else f", and write {plain!r}"
                return f"it is in {place}: export PYTHONPATH={place}{then}"
    return ""


def _folders_below(top: Path) -> Iterator[Path]:
    """
    The folders below one, nearest first; not those of environments, nor hidden ones.
    """
    waiting = deque([(top, 1)])
    for _ in range(_MOST_FOLDERS):
        if not waiting:
            return
        folder, depth = waiting.popleft()
        with suppress(OSError), os.scandir(folder) as entries:
            found = sorted(entry.name for entry in islice(entries, _MOST_ENTRIES) if _is_of_authors(entry))
            yield from (folder / name for name in found)
            if depth < _DEEP:
                waiting.extend((folder / name, depth + 1) for name in found)


def _is_of_authors(entry: os.DirEntry[str]) -> bool:
    passed = entry.name.startswith((".", "__")) or entry.name == "node_modules"
    return not passed and entry.is_dir(follow_symlinks=False) and not os.path.exists(f"{entry.path}/pyvenv.cfg")


def _to_install(module: str, absent: str | None) -> str:
    """
    What to do about a module that the author's module imports, and that is not there.
    """
    if not absent:
        return ""
    return f"put {absent!r} beside {module!r}, or install it where oaflow is installed: {python()} -m pip install ..."


def _without_dots(error: ImportError, module: str) -> str:
    if "no known parent package" not in str(error):
        return ""
    return f"remove the dot after `from`: {module!r} is not in a package"


def _hidden(name: str, module: ModuleType) -> str:
    """
    What to do where a file of that name lies on the path, and another module was found before it.
    """
    here = getattr(module, "__file__", None)
    for folder in sys.path:
        file = Path(folder, *name.split(".")).with_suffix(".py")
        if file.is_file():
            hides = here is None or not os.path.samefile(file, here)
            return f"{short(str(file))} is hidden by a module of that name: rename the file" if hides else ""
    return ""


def known_names(names: Mapping[str, Any], pipelines: bool = False) -> list[str]:
    """
    What a module offers under names of its own: its pipelines, or its functions, decorated ones first.
    """
    if pipelines:
        from oaflow.dsl import Pipeline

        return [name for name, value in names.items() if isinstance(value, Pipeline)]
    public = {name: value for name, value in names.items() if not name.startswith("_") and _can_be_called(value)}
    return sorted(public, key=lambda name: (not hasattr(public[name], STAGE_ATTRIBUTE), name))


def _can_be_called(value: Any) -> bool:
    return callable(value) and not inspect.isclass(value)


def _modules_beside(name: str) -> tuple[str, ...]:
    package, _, _ = name.rpartition(".")
    folders: Iterable[str] | None = getattr(sys.modules.get(package), "__path__", ()) if package else None
    found = [module.name for module in pkgutil.iter_modules(folders)]
    return tuple(f"{package}.{module}" if package else module for module in found)


def _raised(error: BaseException) -> str:
    """
    An exception in one line, with the author's place: the innermost frame that is not the import machinery's or ours.
    """
    text = " ".join(
        (str(error) if isinstance(error, OaflowError) else traceback.format_exception_only(error)[-1]).split()
    )
    if isinstance(error, SyntaxError):
        return f"{text} ({short(error.filename)}:{error.lineno})" if error.filename else text
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    own = [frame for frame in frames if frame.filename != __file__ and not frame.filename.startswith(_DSL)]
    return f"{text} ({short(own[-1].filename)}:{own[-1].lineno})" if own else text


def _function(found: Any) -> dict[str, Any] | InspectionError:
    if _is_task(found):
        return InspectionError("task")
    if inspect.ismodule(found) or inspect.isclass(found) or not callable(found):
        return InspectionError("not-callable", f"it is of type {_kind_of(found)}")
    options = stage_options(found)
    if options is None:
        return InspectionError("undecorated")
    function = inspect.unwrap(found)
    signature = inspect.signature(function)
    hints = hints_of(function)
    annotations = annotations_of(function)
    first = next(iter(signature.parameters.values()), None)
    code = getattr(function, "__code__", None)
    return {
        # Only what was said: the members of a `retry` that were not said may come from the pipeline's defaults.
        "options": options.model_dump(mode="json", exclude_unset=True),
        "is_async": inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function),
        "is_generator": inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function),
        # Of one that something else wraps, that may return another value.
        "is_mute": found is function and is_mute(function),
        "parameters": [asdict(_parameter(parameter, hints)) for parameter in signature.parameters.values()],
        "returns": written(hints.get("return", signature.return_annotation)),
        "doc": (inspect.getdoc(function) or "").strip().partition("\n")[0] or None,
        "file": code.co_filename if code else None,
        "line": code.co_firstlineno if code else None,
        "outs": [(port, span._asdict()) for port, span in outs_of(function)],
        "taken_classes": None if first is None else taken(annotations.get(first.name, first.annotation)),
        "returned_classes": returned(annotations.get("return", signature.return_annotation)),
        "sent_classes": sent(annotations.get("return", signature.return_annotation)),
        "unseen": None if first is None or first.name in hints else unseen(annotations.get(first.name)),
    }


def _is_task(found: Any) -> bool:
    # By name: a module of stages need not import procrastinate, and then no object of it can be here.
    return any(kind.__name__ == "Task" and kind.__module__.startswith("procrastinate.") for kind in type(found).__mro__)


def _kind_of(found: Any) -> str:
    return "module" if inspect.ismodule(found) else "class" if inspect.isclass(found) else type(found).__name__


def _parameter(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> Parameter:
    star = parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return Parameter(
        name=parameter.name,
        required=parameter.default is inspect.Parameter.empty and not star,
        kind=_KINDS[parameter.kind],
        annotation=written(hints.get(parameter.name, parameter.annotation)),
    )


def _pipeline(found: Any, names: Mapping[str, Any]) -> dict[str, Any] | InspectionError:
    from oaflow.dsl import Pipeline

    if not isinstance(found, Pipeline):
        return InspectionError("not-callable", f"it is of type {_kind_of(found)}", tuple(known_names(names, True)))
    return {"data": found.data, "file": found.file, "placed": list(found.placed.items())}
