"""
Finds, reads and checks what was typed as PIPELINE: a file, a name, or `module:name`.
"""

import os
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from oaflow.diagnostics import Diagnostic, Spans, errors
from oaflow.errors import OaflowError, UsageError
from oaflow.model import Pipeline
from oaflow.plan import Places, Plan, PlannedParam
from oaflow.spelling import did_you_mean

if TYPE_CHECKING:
    from oaflow.compiler import Checked
    from oaflow.dsl import Pipeline as Declared

_SUFFIXES = (".yml", ".yaml")
_IN_A_PACKAGE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_MODULE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


class NoSuchPipelineError(UsageError):
    """
    There is no pipeline of this name.
    """

    def __init__(self, name: str, known: Sequence[str], file: str | None = None) -> None:
        self.name, self.known = name, tuple(known)
        if file is not None:
            then = f"did you mean the file {file!r}?"
        elif close := did_you_mean(name, known):
            then = close
        elif _IN_A_PACKAGE.fullmatch(name):
            then = f"a pipeline in Python is named by its module: {name}:NAME"
        elif known:
            then = f"there are: {', '.join(known)}"
        else:
            then = "name a file: oaflow run PIPELINE.yml -d DATASET"
        super().__init__(f"no pipeline is named {name!r}", help=then)


class PipelineMistakesError(UsageError):
    """
    The pipeline has mistakes and cannot be run. Its diagnostics say which.
    """

    def __init__(self, name: str, diagnostics: Sequence[Diagnostic]) -> None:
        self.name, self.diagnostics = name, tuple(diagnostics)
        number = len(errors(self.diagnostics))
        super().__init__(
            f"pipeline {name!r} has {number} mistake{'' if number == 1 else 's'}",
            help=f"oaflow check {shlex.quote(name)}",
        )
        # For readers of a traceback: a command has already shown each with its place.
        for mistake in errors(self.diagnostics):
            self.add_note(f"{mistake.rule.code} {mistake.message}")


@dataclass(frozen=True, slots=True)
class Source:
    """
    The location of a pipeline: a file, or a name in a module. `typed` is what was typed.

    `packaged` tells whether it comes with oaflow.
    """

    typed: str
    file: Path | None = None
    module: str | None = None
    name: str | None = None
    packaged: bool = False


@dataclass(frozen=True, slots=True)
class Program:
    """
    A pipeline that was checked: its declaration, if its shape is right; its plan, if it passed every check; and its
    diagnostics. `spans` has the positions in the source. `unannotated` functions do not declare what they take and
    return; `failure` is an error in the checks themselves.
    """

    source: Source
    plan: Plan | None
    diagnostics: tuple[Diagnostic, ...]
    pipeline: Pipeline | None = None
    spans: Callable[[], Spans] = Spans
    unannotated: tuple[str, ...] = ()
    failure: Exception | None = None

    def checked(self) -> Plan:
        """
        The plan.

        Raises:
            PipelineMistakesError: it has mistakes, and so no plan.
        """
        if self.plan is None or errors(self.diagnostics):
            raise PipelineMistakesError(self.source.typed, self.diagnostics)
        return self.plan

    def places(self) -> Places:
        """
        The positions of its expressions, for error messages when one fails.
        """
        # Imported here, because the compiler is loaded only when needed.
        from oaflow.compiler.places import places_of

        return {} if self.pipeline is None else places_of(self.pipeline, self.spans())


def locate(typed: str, folder: Path | None = None) -> Source:
    """
    Find what was typed as PIPELINE.

    A name is looked up in `./pipelines`, then among those of the package; anything else is a path.

    Raises:
        UsageError: there is no such file, or it is a folder.
    """
    base = folder or Path.cwd()
    if "\0" in typed or not typed:
        raise NoSuchPipelineError(typed, known_names(base))
    path = base / typed
    # With os.path, for which a name that no file can have is not an error.
    if _MODULE.fullmatch(typed) and not os.path.exists(path):
        module, _, name = typed.partition(":")
        return Source(typed, module=module, name=name)
    if "/" not in typed and not typed.endswith(_SUFFIXES):
        for place, packaged in ((base / "pipelines", False), (package_pipelines(), True)):
            for suffix in _SUFFIXES:
                if place is not None and os.path.isfile(found := place / f"{typed}{suffix}"):
                    return Source(typed, file=found, packaged=packaged)
        if not os.path.isfile(path):
            if os.path.isdir(path):
                raise _folder(typed, path)
            here = (f"{typed}{suffix}" for suffix in _SUFFIXES)
            file = next((name for name in here if os.path.isfile(base / name)), None)
            if file is None and os.path.isfile(base / f"{typed}.py"):
                raise UsageError(
                    f"{typed!r} is a module, not a pipeline", help=f"name the pipeline in it: {typed}:NAME"
                )
            raise NoSuchPipelineError(typed, known_names(base), file)
    if os.path.isdir(path):
        raise _folder(typed, path)
    if not os.path.exists(path):
        raise _no_file(typed, path)
    return Source(typed, file=path)


def load(source: Source, *, imports: bool = True) -> Program:
    """
    Reads and checks a pipeline.

    Args:
        imports: whether the functions are checked, in a separate process.
    """
    try:
        return _looked_at(source, imports)
    except OaflowError:
        raise
    except Exception as error:  # a bug of oaflow, reported like an author's mistake, beside those of other pipelines
        from oaflow.compiler.checking import failed
        from oaflow.loader import shown_path

        where = None if source.file is None else shown_path(source.file)
        return Program(source, None, (failed(error, where),), failure=error)


def program_of(pipeline: "Declared | str | os.PathLike[str]", *, imports: bool = True) -> Program:
    """
    Check the pipeline that a program passes: one that it has declared, or what a user would type.
    """
    if isinstance(pipeline, str | os.PathLike):
        return load(locate(os.fspath(pipeline)), imports=imports)
    return declared(pipeline, imports=imports)


def declared(pipeline: "Declared", *, imports: bool = True) -> Program:
    """
    Check a pipeline that a program has declared. Its functions are checked like those of any other: by name, in a
    separate process.
    """
    from oaflow.compiler import check_declared
    from oaflow.compiler.functions import Inspector, import_folders

    file = None if pipeline.file is None else Path(pipeline.file)
    source = Source(str(pipeline.data.get("pipeline", "pipeline")), file=file)
    inspector = Inspector(import_folders(file)) if imports else None
    checked = check_declared(pipeline.data, lambda: pipeline.spans, inspector)
    return _program(source, checked, lambda: pipeline.spans)


def _looked_at(source: Source, imports: bool) -> Program:
    from oaflow.compiler import check_declared, check_file
    from oaflow.compiler.functions import Inspector, import_folders
    from oaflow.compiler.named import load_pipeline

    if source.file is not None:
        checked = check_file(source.file, imports=imports)
        return _program(source, checked, lambda: checked.spans)
    named = load_pipeline(f"{source.module}:{source.name}")
    checked = check_declared(named.data, named.spans, Inspector(import_folders()) if imports else None)
    return _program(source, checked, named.spans)


def _program(source: Source, checked: "Checked", spans: Callable[[], Spans]) -> Program:
    return Program(source, checked.plan, checked.diagnostics, checked.pipeline, spans, checked.unannotated)


def with_absolute_defaults(plan: Plan, source: Source) -> Plan:
    """
    A plan in which default paths are relative to the folder of the file, as its author meant them.

    Only for finding the values of params: the digest of a plan does not depend on the location of its file.
    """
    if source.file is None:
        return plan
    folder = source.file.absolute().parent

    def moved(param: PlannedParam) -> PlannedParam:
        if "path" not in (param.type, param.of) or param.default is None:
            return param
        if isinstance(param.default, str):
            return param.model_copy(update={"default": str(folder / param.default)})
        return param.model_copy(update={"default": [str(folder / item) for item in param.default]})

    return plan.model_copy(update={"params": {name: moved(param) for name, param in plan.params.items()}})


def without_required(plan: Plan) -> Plan:
    """
    The plan without required params: the given values are checked before it is known what the last run used.
    """
    params = {name: param.model_copy(update={"required": False}) for name, param in plan.params.items()}
    return plan.model_copy(update={"params": params})


def package_pipelines() -> Path | None:
    """
    The folder of the pipelines that come with oaflow: in the package, or beside it in a checkout.
    """
    return _beside("pipelines", "pipelines")


def sample_documents() -> Path | None:
    """
    The folder of the sample documents that come with oaflow.
    """
    return _beside("samples", "examples/documents")


def known_names(folder: Path) -> list[str]:
    """
    The names of all pipelines that can be run by name here.
    """
    names: dict[str, None] = {}
    for place in (folder / "pipelines", package_pipelines()):
        for path in pipeline_files(place):
            names.setdefault(path.stem)
    return list(names)


def _beside(inside: str, checkout: str) -> Path | None:
    package = Path(str(files("oaflow")))
    return next((path for path in (package / inside, package.parent / checkout) if path.is_dir()), None)


def pipeline_files(folder: Path | None) -> Iterator[Path]:
    """
    The files of a folder that may be pipelines.
    """
    if folder is not None and folder.is_dir():
        yield from sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES)


def _folder(typed: str, path: Path) -> UsageError:
    inside = [found.name for found in pipeline_files(path)]
    return UsageError(
        f"{typed!r} is a folder, not a pipeline",
        help=f"it has: {', '.join(inside[:5])}"
        if inside
        else f"name a pipeline; to process the documents in it: oaflow run ingest -d DATASET {shlex.quote(typed)}",
    )


def _no_file(typed: str, path: Path) -> UsageError:
    if os.path.islink(path):
        return UsageError(
            f"{typed!r} is a link to a file that does not exist",
            help=f"ls -l {shlex.quote(typed)}   # shows where it leads",
        )
    near = [str(Path(typed).parent / found.name) for found in pipeline_files(path.parent)]
    there = f"there are: {', '.join(near[:5])}" if near else None
    return UsageError(f"there is no pipeline file {typed!r}", help=did_you_mean(typed, near) or there)
