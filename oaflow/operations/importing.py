"""
`oaflow import-env`: makes a pipeline file for OpenAleph's services from the settings of their hand-overs.
"""

import json
import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path

from oaflow.compiler.checking import check_data
from oaflow.compiler.edges import EDGE_KEYS
from oaflow.compiler.reading import PORT, QUEUE_LENGTH, Reader
from oaflow.diagnostics import NO_SPANS, errors
from oaflow.errors import UsageError
from oaflow.loader import load_text
from oaflow.operations.openaleph import DEFAULTS, PREFIX, Service, Settings, read_settings

# The stages that each service hands over to. This is in the services' code; settings only name queues and switch off.
HANDS_OVER: Mapping[str, tuple[str, ...]] = {
    "ingest": ("ingest", "analyze", "index", "transcribe"),
    "transcribe": ("analyze",),
    "analyze": ("index", "geocode", "translate"),
    "translate": ("index",),
    "geocode": ("index",),
    "index": (),
}
START = "ingest"

# Archives in archives, attachments of mails.
DEEP = 16

_HEAD = """\
# The services of OpenAleph, with the queues and tasks of the hand-over settings of openaleph-procrastinate.
# A comment names the setting that a value is from; what has none is the default there. Which service hands over
# to which is in their code: the ports of a service are the queues that it hands over to.
oaflow: 1
pipeline: {name}
description: The services of OpenAleph, as their settings hand over

stages:
"""


class WrongSettingsError(UsageError):
    """
    Settings that cannot make a pipeline. `mistakes` has everything that is wrong.
    """

    def __init__(self, mistakes: Sequence[UsageError]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(map(str, mistakes)), help=mistakes[0].help)


def import_environment(name: str, environment: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """
    The text of a pipeline file, and remarks about settings that are not in it.

    Args:
        name: of the pipeline.

    Raises:
        WrongSettingsError: a value is not valid for its setting, or for a pipeline.
    """
    # Imported here, because ruamel.yaml takes long to load.
    from oaflow.formatting import formatted

    settings = read_settings(environment)
    if wrong := [*_wrong_name(name), *settings.wrong, *_wrong_services(settings.services)]:
        raise WrongSettingsError(wrong)
    text = formatted(_HEAD.format(name=_scalar(name)) + "\n".join(_lines(settings)) + "\n")
    loaded = load_text(text, "import-env")
    checked = check_data(loaded.data, loaded.spans, None) if loaded.data is not None else None
    if found := errors((*loaded.diagnostics, *(checked.diagnostics if checked else ()))):
        raise WrongSettingsError(
            [UsageError(f"the settings make no pipeline: {one.message}", help=one.help) for one in found]
        )
    if not any(service.said for service in settings.services.values()):
        return text, ("no hand-over setting is set: these are the defaults", *settings.remarks)
    return text, settings.remarks


def read_environment(file: str | None) -> Mapping[str, str]:
    """
    The variables in a file of `NAME=value` lines; `-` is stdin, and None the environment of this process.

    Raises:
        UsageError: the file, or a line of it, cannot be read.
    """
    if file is None:
        return os.environ
    # pydantic-settings also reads such files for openaleph-procrastinate; only this command needs it.
    from dotenv import dotenv_values
    from dotenv.parser import parse_stream

    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        text = raw.decode()
    except OSError as error:
        raise UsageError(f"{file!r} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise UsageError(f"{file!r} is not text in UTF-8") from None
    if (wrong := next((line.original for line in parse_stream(StringIO(text)) if line.error), None)) is not None:
        where = "stdin" if file == "-" else file
        raise UsageError(f"{where}:{wrong.line}: this is not NAME=value", help="check its quotes")
    return {name: value for name, value in dotenv_values(stream=StringIO(text)).items() if value is not None}


def _lines(settings: Settings) -> Iterator[str]:
    services = settings.services
    reached = _reached(services)
    for name in HANDS_OVER:
        if name in reached:
            yield from _stage(name, services)
            yield ""
    yield from (f"# {line}" for line in _absent(services, reached))


def _reached(services: Mapping[str, Service]) -> dict[str, None]:
    reached, ahead = dict[str, None](), [START]
    while ahead:
        name = ahead.pop()
        if name not in reached:
            reached[name] = None
            ahead += [to for to in HANDS_OVER[name] if services[to].defer]
    return reached


def _wrong_name(name: str) -> Iterator[UsageError]:
    reader = Reader(NO_SPANS)
    reader.name(name, ("pipeline",), "a pipeline")
    for one in reader.found:
        yield UsageError(one.message, help="oaflow import-env --name openaleph")


def _wrong_services(services: Mapping[str, Service]) -> Iterator[UsageError]:
    """
    Names of queues and tasks that are valid there but not here, and stages that cannot be told apart.
    """
    for name in HANDS_OVER:
        queue, task, said = services[name].queue, services[name].task, services[name].said
        if not PORT.fullmatch(queue) or len(queue) > QUEUE_LENGTH or queue in EDGE_KEYS:
            yield UsageError(
                f"{said.get('queue')} is {queue!r}, which cannot be the name of a port: {_RULE}",
                help=f"give the services another one: {PREFIX}{name.upper()}_QUEUE=NAME",
            )
        if not task or not task.isprintable() or " " in task or "${" in task:
            yield UsageError(
                f"{said.get('task')} is {task!r}, which cannot be the name of a task: no spaces, no control characters",
                help=f"{PREFIX}{name.upper()}_TASK={DEFAULTS[name].task}",
            )
    told: set[tuple[str, ...]] = set()
    for name in _reached(services):
        for queue, targets in _ports(name, services).items():
            alike = tuple(to for to in targets if [services[one].task for one in targets].count(services[to].task) > 1)
            if alike and alike not in told:
                told.add(alike)
                yield UsageError(
                    f"stages {', '.join(map(repr, alike))} have one queue {queue!r} and one task: "
                    f"what {name!r} hands over to them cannot be told apart",
                    help=f"give one of them another queue: {PREFIX}{alike[0].upper()}_QUEUE=NAME",
                )


_RULE = (
    f"letters, digits, '_', '-' and '.', starting with a letter; at most {QUEUE_LENGTH} characters, and none of"
    f" {', '.join(EDGE_KEYS)}"
)


def _stage(name: str, services: Mapping[str, Service]) -> Iterator[str]:
    service = services[name]
    yield f"  {name}:"
    for key in ("task", "queue"):
        yield _said(f"    {key}: {_scalar(getattr(service, key))}", service.said.get(key))
    yield "    external: true"
    least, most = service.min_priority, max(service.min_priority, service.max_priority)
    if (middle := (least + most) // 2) != 50:
        where = service.said.get("min_priority") or service.said.get("max_priority")
        yield _said(
            f"    priority: {middle}", f"random there, from {least} to {most}" + (f": {where}" if where else "")
        )
    ports = _ports(name, services)
    if ports:
        yield "    next:"
    for queue, targets in ports.items():
        yield from _port(_scalar(queue), name, targets, services)


def _ports(name: str, services: Mapping[str, Service]) -> Mapping[str, list[str]]:
    """
    The queues that a service hands over to, each with its stages.
    """
    ports: dict[str, list[str]] = {}
    for to in HANDS_OVER[name]:
        ports.setdefault(services[to].queue, []).append(to)
    return ports


def _port(port: str, name: str, targets: Sequence[str], services: Mapping[str, Service]) -> Iterator[str]:
    going = [to for to in targets if services[to].defer]
    said = (services[to].said.get(key) for to in going for key in ("queue", "defer"))
    why = ", ".join(dict.fromkeys(filter(None, said)))
    if not going:
        yield _said(f"      {port}: drop", "; ".join(_off(to, services[to]) for to in targets))
    elif len(targets) == 1:
        yield _said(f"      {port}: {_edge(name, going[0])}", why)
    else:
        # One queue for several stages: the task of a job tells them apart.
        yield _said(f"      {port}:", why)
        for to in going:
            when = json.dumps(f"job.task == {services[to].task!r}", ensure_ascii=False)
            yield f"        - {_edge(name, to, f'when: {when}')}"


def _edge(name: str, to: str, *members: str) -> str:
    said = (*members, f"recurse: {DEEP}") if to == name else members
    return f"{{{', '.join((f'to: {to}', *said))}}}" if said else to


def _absent(services: Mapping[str, Service], reached: Collection[str]) -> Iterator[str]:
    """
    The stages that are not in the pipeline, and why.
    """
    for name in DEFAULTS:
        if name in reached:
            continue
        if name not in HANDS_OVER:
            if services[name].said:
                settings = ", ".join(sorted(set(services[name].said.values())))
                yield f"{name} is left out because no service hands over documents to it: {settings}"
        elif not services[name].defer:
            yield f"{name} is left out: {_off(name, services[name])}"
        else:
            yield f"{name} is left out because no stage here hands over to it"


def _off(name: str, service: Service) -> str:
    return (
        f"{service.said['defer']} is off"
        if "defer" in service.said
        else f"{PREFIX}{name.upper()}_DEFER is off by default"
    )


# Texts that mean the same with and without quotes.
_PLAIN = re.compile(r"(?!(?:true|false|null)$)[A-Za-z_][A-Za-z0-9_.-]*", re.IGNORECASE)


def _scalar(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _said(line: str, comment: str | None) -> str:
    return f"{line}  # {comment}" if comment else line
