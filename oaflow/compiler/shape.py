"""
The shape of a pipeline: plain data becomes declarations, with every shorthand written out. Pure.

YAML and the Python form both come through here, so a shorthand means the same in both.
"""

from collections.abc import Mapping
from typing import Any, Literal, cast

from oaflow.compiler import keys, synonyms
from oaflow.compiler.cases import read_cases
from oaflow.compiler.conditions import read_expression
from oaflow.compiler.edges import DROP, read_next
from oaflow.compiler.params import read_params
from oaflow.compiler.reading import PARAM, TASK, Reader, shortened
from oaflow.compiler.rules import shape as rules
from oaflow.diagnostics import NO_SPANS, Diagnostic, Path, Spans, errors, in_order
from oaflow.model import LANGUAGE, Choose, Collect, Defaults, Pipeline, Repeat, Stage
from oaflow.plan.joins import RUN
from oaflow.spelling import spelled

PIPELINE_KEYS = tuple(keys.PIPELINE)

STAGE_KEYS = tuple(keys.STAGE)

DEFAULTS_KEYS = keys.DEFAULTS

COLLECT_KEYS = tuple(keys.COLLECT)

RETRY_KEYS = tuple(keys.RETRY)

# Its service decides how an external stage runs.
NOT_EXTERNAL = ("retry", "timeout", "memory", "concurrency", "rate")

# The services expand a job's context as keyword arguments at every hop: these keys would crash them after their work.
CONTEXT_KEYS = ("batch", "queue", "task", "dataset", "entities", "app", "cls", "oaflow")

RESERVED_STAGES = (DROP, "run", "default")

EMITS = ("success", "stream", "always")

CHOICES = ("all", "first")


def parse_pipeline(data: Mapping[str, Any], spans: Spans = NO_SPANS) -> tuple[Pipeline | None, list[Diagnostic]]:
    """
    Read a pipeline from plain data: the keys of a pipeline file (`pipeline`, `params`, `stages`, ...).

    Returns:
        The pipeline, or None where its shape is wrong; and all that there is to say about it, warnings included.
    """
    reader = Reader(spans)
    pipeline = _pipeline(reader, data)
    found = in_order(reader.found)
    return (None if errors(found) else pipeline), found


def _pipeline(reader: Reader, data: object) -> Pipeline | None:
    members = reader.mapping(
        data,
        (),
        "a pipeline",
        PIPELINE_KEYS,
        elsewhere=dict.fromkeys(STAGE_KEYS, "this is a key of a stage, and belongs under `stages`"),
        synonyms=synonyms.PIPELINE,
    )
    if not isinstance(data, Mapping):
        return None
    if "oaflow" in members and str(members["oaflow"]) != str(LANGUAGE):
        message = f"this version of oaflow reads language {LANGUAGE}, and the file is written in {members['oaflow']!r}"
        reader.report(rules.LANGUAGE_VERSION, message, ("oaflow",), help=f"oaflow: {LANGUAGE}")
    name = None
    if "pipeline" in members:
        name = reader.name(members["pipeline"], ("pipeline",), "a pipeline")
    elif ("pipeline",) not in reader.meant:
        reader.report(rules.MISSING_KEY, "the pipeline has no name", (), help="write `pipeline: NAME` at the top")
    description = _optional(reader, members, (), "description")
    params = read_params(reader, members["params"], ("params",)) if "params" in members else {}
    defaults = _defaults(reader, members["defaults"]) if "defaults" in members else Defaults()
    start = _start(reader, members["start"]) if "start" in members else ()
    stages = _stages(reader, members, defaults.choose)
    cases = read_cases(reader, members["tests"], ("tests",)) if "tests" in members else ()
    if errors(reader.found) or name is None:
        return None
    return Pipeline(
        name=name,
        description=description,
        params=params,
        defaults=defaults,
        start=start,
        stages=stages,
        cases=cases,
    )


def _optional(reader: Reader, members: Mapping[str, Any], path: Path, key: str) -> str | None:
    return reader.text(members[key], (*path, key)) if key in members else None


def _start(reader: Reader, value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        name = reader.name(value, ("start",), "a stage")
        return () if name is None else (name,)
    items = cast("list[object]", value)
    if not items:
        reader.wrong_type(None, ("start",), "a stage, or a list of stages")
    names = [reader.name(item, ("start", index), "a stage") for index, item in enumerate(items)]
    return tuple(dict.fromkeys(name for name in names if name is not None))


def _defaults(reader: Reader, value: object) -> Defaults:
    path: Path = ("defaults",)
    elsewhere: dict[str, str] = dict.fromkeys(
        STAGE_KEYS, "this cannot be a default for all stages: set it on each stage that needs it"
    )
    members = reader.mapping(value, path, "defaults", DEFAULTS_KEYS, elsewhere=elsewhere, synonyms=synonyms.DEFAULTS)
    said = _common(reader, members, path)
    return Defaults(**said) if not errors(reader.found) else Defaults()


def _stages(reader: Reader, members: Mapping[str, Any], choose: Choose | None) -> dict[str, Stage]:
    value = members.get("stages")
    if ("stages",) in reader.meant:
        return {}
    if "stages" not in members or value is None or value == {}:
        help = "stages: {read: {task: package.module.function}}"
        reader.report(rules.NO_STAGES, "the pipeline has no stages", ("stages",), key=True, help=help)
        return {}
    if not isinstance(value, Mapping):
        reader.wrong_type(value, ("stages",), "a mapping from names to stages", "stages: {NAME: {task: ...}, ...}")
        return {}
    stages: dict[str, Stage] = {}
    for key, data in cast("Mapping[Any, object]", value).items():
        path: Path = ("stages", str(key))
        name = reader.name(key, path, "a stage", key=True, reserved=RESERVED_STAGES)
        if name is None and not isinstance(data, Mapping):
            continue  # a key that was read otherwise than it was meant, and so was what stands behind it
        stage = _stage(reader, str(key), data, path, choose)
        if name is not None and stage is not None:
            stages[name] = stage
    return stages


def _stage(reader: Reader, name: str, data: object, path: Path, choose: Choose | None) -> Stage | None:
    before = len(reader.found)
    if isinstance(data, str) and TASK.fullmatch(data):
        reader.wrong_type(data, path, f"a mapping with the keys of stage {name!r}", f"{name}: {{task: {data}}}")
        return None
    external = isinstance(data, Mapping) and cast("Mapping[str, object]", data).get("external") is True
    members = reader.mapping(data, path, f"stage {name!r}", STAGE_KEYS, synonyms=synonyms.STAGE)
    if not isinstance(data, Mapping):
        return None
    said: dict[str, Any] = {}
    if external:
        for key in NOT_EXTERNAL:
            if key in members:
                message = f"stage {name!r} is external, so its service decides about {key!r}"
                help = "remove it, and set it in the service"
                reader.report(rules.EXTERNAL_KEY, message, (*path, key), key=True, help=help)
                del members[key]
        if "queue" not in members and (*path, "queue") not in reader.meant:
            message = f"stage {name!r} is external, so it needs the queue of its service"
            reader.missing(rules.EXTERNAL_QUEUE, message, path, "queue: NAME")
    if "task" in members:
        said["task"] = _task(reader, members["task"], (*path, "task"), external)
    elif (*path, "task") not in reader.meant:
        message = f"stage {name!r} has no task"
        help = "task: package.module.function, the dotted path of a function decorated with @stage"
        reader.missing(rules.MISSING_KEY, message, path, help)
    if "next" in members:
        first = members.get("choose", None if external else choose) == "first"
        said["next"], said["dropped"] = read_next(reader, members["next"], (*path, "next"), first=first)
    if "with" in members:
        said["options"] = _options(reader, members["with"], (*path, "with"), external)
    if "on_error" in members:
        said["on_error"] = _on_error(reader, members["on_error"], (*path, "on_error"))
    if "enabled" in members:
        said["enabled"] = _enabled(reader, members["enabled"], (*path, "enabled"))
    if "external" in members:
        said["external"] = reader.flag(members["external"], (*path, "external"))
    if "origin" in members:
        said["origin"] = _origin(reader, members["origin"], (*path, "origin"))
    if "split" in members:
        said["split"] = reader.fixed(members["split"], (*path, "split"), 1)
    if "split" in members and members.get("collect", False) is not False:
        message = f"stage {name!r} cannot both collect and split jobs"
        help = "remove one of them: `collect` cuts what is larger than its size, too"
        reader.report(rules.COLLECT_CONFLICT, message, (*path, "split"), key=True, help=help)
    if "join" in members:
        said["join"] = _join(reader, members["join"], (*path, "join"))
        for key in ("split", "collect"):
            if key in members:
                message = f"stage {name!r} is a join, which gets one job without entities: there is nothing to {key}"
                reader.report(rules.JOIN_CONFLICT, message, (*path, key), key=True, help=f"take `{key}` out")
    said["description"] = _optional(reader, members, path, "description")
    said |= _common(reader, members, path)
    if "queue" not in said and "queue" not in members and len(name) > 40:
        reader.report(
            rules.LONG_QUEUE,
            f"the name of a queue has at most 40 characters, but that of stage {name!r} has {len(name)}",
            path,
            key=True,
            help="give the stage a `queue`, or a shorter name",
        )
    return Stage(**said) if len(errors(reader.found[before:])) == 0 else None


def _common(reader: Reader, members: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """
    The keys that a stage and `defaults` share.
    """
    said: dict[str, Any] = {}
    if "queue" in members:
        said["queue"] = reader.queue(members["queue"], (*path, "queue"))
    if "choose" in members:
        said["choose"] = reader.choice(members["choose"], (*path, "choose"), CHOICES)
    if "retry" in members:
        said["retry"] = read_retry(reader, members["retry"], (*path, "retry"))
    if "timeout" in members:
        said["timeout"] = reader.duration(members["timeout"], (*path, "timeout"), above_zero=True)
    if "memory" in members:
        said["memory"] = reader.size(members["memory"], (*path, "memory"))
    if "priority" in members:
        said["priority"] = reader.whole(members["priority"], (*path, "priority"))
    if "emit" in members:
        said["emit"] = reader.choice(members["emit"], (*path, "emit"), EMITS)
    if "collect" in members:
        said["collect"] = _collect(reader, members["collect"], (*path, "collect"))
    if "lock" in members:
        said["lock"] = read_expression(reader, members["lock"], (*path, "lock"))
    if "concurrency" in members:
        said["concurrency"] = reader.whole(members["concurrency"], (*path, "concurrency"), 1)
    if "rate" in members:
        said["rate"] = reader.rate(members["rate"], (*path, "rate"))
    return said


def read_retry(reader: Reader, value: object, path: Path) -> Repeat | None:
    """
    A `retry`: a number of repetitions, or a mapping.
    """
    if not isinstance(value, Mapping):
        if not isinstance(value, int | str) or (isinstance(value, str) and "${" not in value):
            reader.wrong_type(value, path, "a number of repetitions, or a mapping with the keys of retry", "retry: 3")
            return None
        most = reader.whole(value, path, 0)
        return None if most is None else Repeat(max=most)
    members = reader.mapping(cast("object", value), path, "retry", RETRY_KEYS, synonyms=synonyms.RETRY)
    said: dict[str, Any] = {}
    if "max" in members:
        said["max"] = reader.whole(members["max"], (*path, "max"), 0)
    if "backoff" in members:
        said["backoff"] = reader.choice(members["backoff"], (*path, "backoff"), ("none", "exponential"))
    for key in ("base", "cap"):
        if key in members:
            said[key] = reader.duration(members[key], (*path, key))
    return Repeat(**said)


def _task(reader: Reader, value: object, path: Path, external: bool) -> str | None:
    if not external:
        return reader.name(value, path, "a task", TASK)
    text = reader.text(value, path)
    if text is None:
        return None
    if "${" in text:
        message = "the name of a task is part of the plan, so it cannot depend on a param"
        reader.report(rules.REFERENCE_IN_NAME, message, path, help="write the name itself")
        return None
    if spelled(text) is not None:
        reader.lookalike(text, path)
        return None
    if not text or not text.isprintable() or " " in text:
        reader.report(
            rules.BAD_NAME,
            f"{shortened(text)!r} is not a valid name for a task: no spaces, no control characters",
            path,
        )
        return None
    return text


def _options(reader: Reader, value: object, path: Path, external: bool) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        reader.wrong_type(value, path, "a mapping from options to values")
        return {}
    members = cast("Mapping[Any, object]", value)
    for key in members:
        place = (*path, str(key))
        if reader.name(key, place, "an option", PARAM, key=True) is not None and external and key in CONTEXT_KEYS:
            message = f"{key!r} cannot be in the context of a job: services pass it on as an argument of their own"
            reader.report(rules.RESERVED_NAME, message, place, key=True, help="choose another name")
    return {str(key): reader.plain(item, (*path, str(key))) for key, item in members.items()}


def _on_error(reader: Reader, value: object, path: Path) -> str | None:
    if value == DROP:
        message = "`drop` is for ports: a job that fails is never thrown away"
        reader.report(
            rules.DROP_MISPLACED, message, path, help="leave `on_error` out: failed jobs are kept for `oaflow retry`"
        )
        return None
    if isinstance(value, str):
        return reader.name(value, path, "a stage")
    reader.wrong_type(value, path, "the name of one stage", "on_error: STAGE")
    return None


def _collect(reader: Reader, value: object, path: Path) -> Collect | Literal[False] | None:
    """
    A number of entities, a mapping with `size` and `wait`, or `false`.
    """
    if value is False:
        return False
    if not isinstance(value, Mapping):
        size = reader.whole(value, path, 1)
        return None if size is None else Collect(size=size)
    members = reader.mapping(cast("object", value), path, "collect", COLLECT_KEYS, synonyms=synonyms.COLLECT)
    said: dict[str, Any] = {}
    if "size" in members:
        said["size"] = reader.whole(members["size"], (*path, "size"), 1)
    elif (*path, "size") not in reader.meant:
        help = "collect: {size: 500, wait: 2s}"
        reader.missing(rules.MISSING_KEY, "`collect` needs a size: how many entities", path, help)
    if "wait" in members:
        said["wait"] = reader.duration(members["wait"], (*path, "wait"))
    return None if None in said.values() or "size" not in said else Collect(**said)


def _join(reader: Reader, value: object, path: Path) -> tuple[str, ...]:
    """
    `run`, the name of a stage, or a list of names.
    """
    if value == RUN:
        return (RUN,)
    if isinstance(value, bool | int | float):
        reader.wrong_type(value, path, "`run`, a stage, or a list of stages to wait for", "join: run")
        return ()
    items = cast("list[object]", value) if isinstance(value, list | tuple) else [value]
    if not items:
        reader.wrong_type(None, path, "`run`, or a list of stages to wait for")
    places = [(*path, index) if isinstance(value, list | tuple) else path for index in range(len(items))]
    names = [
        reader.name(item, place, "a stage", reserved=RESERVED_STAGES) for item, place in zip(items, places, strict=True)
    ]
    return tuple(dict.fromkeys(name for name in names if name is not None))


def _enabled(reader: Reader, value: object, path: Path) -> bool | str | None:
    if not isinstance(value, str):
        return reader.flag(value, path)
    if value.strip().lower() in {"true", "false", "yes", "no", "on", "off"}:
        return reader.flag(value, path)
    return read_expression(reader, value, path)


def _origin(reader: Reader, value: object, path: Path) -> str | None:
    text = reader.text(value, path)
    if text is None:
        return None
    if "${" in text:
        message = "an origin is part of the plan, so it cannot depend on a param"
        reader.report(rules.REFERENCE_IN_NAME, message, path, help="write the origin itself")
        return None
    if not text.strip() or not text.isprintable() or len(text) > 200:
        message = f"{shortened(text)!r} is not a valid origin: 1 to 200 printable characters"
        reader.report(rules.BAD_NAME, message, path)
        return None
    return text
