"""
The settings for hand-overs of openaleph-procrastinate: the queue and task of each stage, and whether it gets jobs. They
are read like its own settings model reads them, which tests/compat verifies.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import orjson

from oaflow.errors import UsageError
from oaflow.spelling import closest

PREFIX = "OPENALEPH_"


@dataclass(frozen=True, slots=True)
class Service:
    """
    What the settings say about one stage of OpenAleph.

    Attributes:
        defer: whether it gets jobs.
        min_priority: priorities there are random, from this one to `max_priority`.
        said: the setting that set each field; missing fields have their defaults.
    """

    queue: str
    task: str
    defer: bool = True
    min_priority: int = 0
    max_priority: int = 100
    max_retries: int = 5
    said: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Settings:
    """
    The stages by name, and sentences about settings that do not concern them and settings with a wrong value.
    """

    services: Mapping[str, Service]
    remarks: tuple[str, ...]
    wrong: tuple[UsageError, ...] = ()


def _aleph(task: str, **fields: Any) -> Service:
    return Service(fields.pop("queue", "openaleph"), f"aleph.procrastinate.tasks.{task}", **fields)


DEFAULTS: Mapping[str, Service] = {
    "ingest": Service("ingest", "ingestors.tasks.ingest"),
    "analyze": Service("analyze", "ftm_analyze.tasks.analyze"),
    "transcribe": Service("transcribe", "ftm_transcribe.tasks.transcribe", defer=False),
    "translate": Service("translate", "ftm_translate.tasks.translate", defer=False),
    "geocode": Service("geocode", "ftm_geocode.tasks.geocode", defer=False),
    "assets": Service("assets", "ftm_assets.tasks.resolve", defer=False),
    "vectorize": Service("vectorize", "ftm_vectorize.tasks.vectorize", defer=False),
    "index": _aleph("index_entities", min_priority=70),
    "reindex": _aleph("reindex_collection", min_priority=50),
    "xref": _aleph("xref_collection", min_priority=50),
    "load_mapping": _aleph("load_mapping", min_priority=90),
    "flush_mapping": _aleph("flush_mapping", min_priority=40),
    "export_search": _aleph("export_search", max_priority=50),
    "export_xref": _aleph("export_xref", max_priority=50),
    "update_entity": _aleph("update_entity", min_priority=99),
    "prune_entity": _aleph("prune_entity", min_priority=99),
    "cancel_dataset": _aleph("cancel_dataset", queue="openaleph-management", min_priority=101),
}

_TEXTS = ("queue", "task")
_NUMBERS = ("min_priority", "max_priority", "max_retries")
_FIELDS = (*_TEXTS, "defer", *_NUMBERS)

# As pydantic reads a bool.
_TRUE, _FALSE = ("1", "true", "t", "yes", "y", "on"), ("0", "false", "f", "no", "n", "off")

# Settings of openaleph-procrastinate that are not about the hand-over.
_OTHERS = (
    "INSTANCE",
    "DB_URI",
    "DB_POOL_SIZE",
    "PROCRASTINATE_DEHYDRATE_ENTITIES",
    "LAKEHOUSE",
    "LAKEHOUSE_FLUSH_THRESHOLD",
)

# How many names of other settings are listed.
_NAMED = 3


def read_settings(environment: Mapping[str, str]) -> Settings:
    """
    The defaults, changed by an environment.
    """
    given = {name.upper(): value for name, value in environment.items() if name.upper().startswith(PREFIX)}
    services, remarks, others, wrong = dict(DEFAULTS), list[str](), list[str](), list[UsageError]()
    # Settings of a whole stage first, because those of a single field override them.
    for setting in sorted(given, key=lambda name: (_of(name)[1] is not None, name)):
        stage, key = _of(setting)
        if stage is None:
            (remarks if setting.endswith(("_QUEUE", "_TASK", "_DEFER")) else others).append(setting)
        elif key in _NUMBERS or (key is not None and key not in _FIELDS):
            remarks.append(setting)
        else:
            said = {key: given[setting]} if key is not None else _members(setting, given[setting], wrong)
            for name, value in said.items():
                try:
                    services[stage] = _with(services[stage], setting, name, value)
                except UsageError as error:
                    wrong.append(error)
    said = [_unknown(setting) for setting in remarks]
    others = [name for name in others if name.removeprefix(PREFIX) not in _OTHERS]
    if others:
        names = ", ".join(others[:_NAMED]) + (f" and {len(others) - _NAMED} more" if len(others) > _NAMED else "")
        said.append(f"not of the hand-over, and left out: {names}")
    return Settings(services, tuple(said), tuple(wrong))


def _of(setting: str) -> tuple[str | None, str | None]:
    """
    The stage and field that a setting is for; without a field, it is for the whole stage.
    """
    rest = setting.removeprefix(PREFIX).lower()
    for stage in DEFAULTS:
        if rest == stage:
            return stage, None
        if rest.startswith(f"{stage}_"):
            return stage, rest.removeprefix(f"{stage}_")
    return None, None


def _members(setting: str, value: str, wrong: list[UsageError]) -> Mapping[str, object]:
    """
    The fields that a setting for a whole stage sets; unknown fields are noted.
    """
    try:
        members = orjson.loads(value)
    except orjson.JSONDecodeError:
        members = None
    if not isinstance(members, dict):
        wrong.append(
            UsageError(f"{setting} is {value!r}, and no object of JSON", help=f'{setting}=\'{{"queue": "NAME"}}\'')
        )
        return {}
    known = cast("dict[str, object]", members)
    for name in known:
        if name not in _FIELDS:
            message = f"{setting} has a key {name!r}, which no stage has"
            wrong.append(UsageError(message, help=f"one of: {', '.join(_FIELDS)}"))
    return {name: member for name, member in known.items() if name in _FIELDS}


def _with(service: Service, setting: str, key: str, value: object) -> Service:
    said = {**service.said, key: setting}
    text = str(value).strip().lower()
    if key in _TEXTS:
        return replace(service, **{key: str(value)}, said=said)
    if key == "defer":
        if text not in _TRUE + _FALSE:
            raise UsageError(f"{setting} is {value!r}, neither true nor false", help=f"{setting}=0, or =1")
        return replace(service, defer=text in _TRUE, said=said)
    if not text.removeprefix("-").isdecimal():
        raise UsageError(f"{setting} says {key} {value!r}, which is no number", help=f"{setting}='{{\"{key}\": 5}}'")
    return replace(service, **{key: int(text)}, said=said)


def _unknown(setting: str) -> str:
    """
    A remark about a setting that openaleph-procrastinate ignores, or with which it refuses to start.
    """
    stage, key = _of(setting)
    if stage is not None and key in _NUMBERS:
        whole = f"{PREFIX}{stage.upper()}"
        return (
            f"{setting} is left out: openaleph-procrastinate takes its name apart at each _ and refuses to start; "
            f"it reads {whole}='{{\"{key}\": ...}}'"
        )
    known = [f"{PREFIX}{name}_{key}".upper() for name in DEFAULTS for key in (*_TEXTS, "defer")]
    close = closest(setting, known)
    then = f"; did you mean {close}?" if close else ""
    what = "refuses to start with it" if stage is not None else "ignores it"
    return f"{setting} is no setting of the hand-over, and openaleph-procrastinate {what}{then}"
