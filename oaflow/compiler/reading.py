"""
How single values of a pipeline are read: names, numbers, durations, sizes, references to params. Each mistake is noted
with its place, and reading goes on, so that the author sees all of them.
"""

import math
import re
import unicodedata
from collections.abc import Collection, Mapping
from typing import Any, cast

from oaflow.compiler.rules import shape as rules
from oaflow.compiler.synonyms import Synonyms
from oaflow.diagnostics import Diagnostic, Path, Rule, Span, Spans
from oaflow.model import PORT
from oaflow.plan.plans import ESCAPED, REFERENCE
from oaflow.quantities import per_second, seconds, size
from oaflow.spelling import closest, did_you_mean, spelled

NAME = re.compile(r"[a-z][a-z0-9_-]*")
PARAM = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
TASK = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)
VARIABLE = PARAM

# procrastinate's column holds 128; NOTIFY channels are built from the name and hold 63 bytes, prefix included.
QUEUE_LENGTH = 40
NAME_LENGTH = 60

# `procrastinate_jobs.priority` is an integer column.
LEAST, GREATEST = -(2**31), 2**31 - 1

_REFERENCE_LIKE = re.compile(r"\$\{\{.*?\}\}|\$\{.*?\}", re.DOTALL)

_GLUED = re.compile(r"[A-Za-z_][\w-]*:(?=[^\s/])")

_NO_SYNONYMS = Synonyms()


def kind_of(value: object) -> str:
    """
    What a value is, in an author's words.
    """
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {shortened(value)!r}"
        case list() | tuple():
            return "a list" if value else "an empty list"
        case Mapping():
            return "a mapping"
        case _:
            return f"a Python {type(value).__name__}"


def shortened(text: str) -> str:
    """
    A text that may be long, fit for a message.
    """
    return text if len(text) <= 60 else f"{text[:57]}..."


class Reader:
    """
    Reads values by path, and keeps what is wrong with them.
    """

    def __init__(self, spans: Spans) -> None:
        self.spans = spans
        self.found: list[Diagnostic] = []
        # What a misspelled key was most likely meant to be, so that it is not missed as well.
        self.meant: set[Path] = set()
        self._first: dict[Span, Path] = {}

    def report(
        self,
        rule: Rule,
        message: str,
        path: Path,
        *,
        key: bool = False,
        help: str | None = None,
        notes: tuple[tuple[str, Span], ...] = (),
    ) -> None:
        span = self.spans.key(*path) if key else self.spans.value(*path)
        self.found.append(Diagnostic(rule, message, span, help, notes))

    def missing(self, rule: Rule, message: str, path: Path, help: str) -> None:
        """
        Tell that a mapping lacks a key, where the mapping is named: of what aliases repeat, where it is named first.
        """
        span = self.spans.value(*path)
        first = self._first.setdefault(span._replace(path=()), path) if span.line else path
        self.report(rule, message, first, key=True, help=help)

    def wrong_type(self, value: object, path: Path, wanted: str, help: str | None = None) -> None:
        if value is None:
            message = f"{_called(path)} is empty, but must be {wanted}"
            self.report(rules.WRONG_TYPE, message, path, key=True, help=help or "give it a value, or remove the key")
        else:
            self.report(rules.WRONG_TYPE, f"{_called(path)} must be {wanted}, but is {kind_of(value)}", path, help=help)

    def mapping(
        self,
        value: object,
        path: Path,
        what: str,
        known: Collection[str],
        *,
        elsewhere: Mapping[str, str] | None = None,
        synonyms: Synonyms = _NO_SYNONYMS,
    ) -> dict[str, Any]:
        """
        The members of a mapping that have a known key; the others are reported.

        Args:
            elsewhere: keys that are right in another place, each with the help that says so.
            synonyms: what the keys are called in other programs.
        """
        if not isinstance(value, Mapping):
            self.wrong_type(value, path, f"a mapping with the keys of {what}", _with_a_blank(value))
            return {}
        members: dict[str, Any] = {}
        for key, member in cast("Mapping[Any, Any]", value).items():
            place = (*path, key)
            if not isinstance(key, str):
                self.report(rules.WRONG_TYPE, f"a key of {what} must be a word, but is {kind_of(key)}", place, key=True)
            elif key in known:
                members[key] = member
            else:
                twin = spelled(key)
                meant = synonyms.keys.get(key)
                close = twin[0] if twin is not None else meant if meant in known else closest(key, known)
                if close is not None:
                    self.meant.add((*path, close))
                if twin is not None:
                    self.lookalike(key, place, key=True)
                else:
                    aside = (elsewhere or {}).get(key) or synonyms.helps.get(key)
                    like = f"did you mean {close!r}?" if close is not None else None
                    help = (
                        aside or _with_a_blank(key) or like or f"{synonyms.otherwise}the keys are: {', '.join(known)}"
                    )
                    self.report(rules.UNKNOWN_KEY, f"{what} has no key {shortened(key)!r}", place, key=True, help=help)
        return members

    def lookalike(self, text: str, path: Path, *, key: bool = False) -> None:
        twin = spelled(text)
        if twin is not None:
            message = f"{shortened(text)!r} has a letter that only looks like the intended one: {twin[1]}"
            self.report(rules.LOOKALIKE, message, path, key=key, help=f"type it again: {twin[0]}")

    def text(self, value: object, path: Path) -> str | None:
        if not isinstance(value, str):
            self.wrong_type(value, path, "a text", "put it in quotes" if isinstance(value, int | float) else None)
            return None
        return value

    def flag(self, value: object, path: Path) -> bool | None:
        if isinstance(value, bool):
            return value
        words = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
        word = str(value).lower()
        help = None
        if isinstance(value, str) and (word in words or word in {"true", "false"}):
            help = f"write {words.get(word, word)}, in lower case and without quotes"
        self.wrong_type(value, path, "true or false", help)
        return None

    def name(
        self,
        value: object,
        path: Path,
        what: str,
        pattern: re.Pattern[str] = NAME,
        *,
        key: bool = False,
        reserved: Collection[str] = (),
    ) -> str | None:
        """
        A name that fits its pattern, is not too long and not reserved; no `${}` may stand in it.
        """
        if not isinstance(value, str):
            self.wrong_type(value, path, "a name", "put it in quotes" if isinstance(value, int | float) else None)
        elif "${" in value:
            message = f"the name of {what} is part of the plan, so it cannot depend on a param"
            self.report(rules.REFERENCE_IN_NAME, message, path, key=key, help="write the name itself")
        elif spelled(value) is not None:
            self.lookalike(value, path, key=key)
        elif not pattern.fullmatch(value) or len(value) > NAME_LENGTH:
            message = f"{shortened(value)!r} is not a valid name for {what}: {RULES_OF[pattern]}"
            self.report(rules.BAD_NAME, message, path, key=key, help=_suggested(value, pattern))
        elif value in reserved:
            self.report(
                rules.RESERVED_NAME,
                f"{value!r} is a reserved word, so it cannot be the name of {what}",
                path,
                key=key,
                help="choose another name",
            )
        else:
            return value
        return None

    def queue(self, value: object, path: Path) -> str | None:
        text = self.text(value, path)
        if text is None:
            return None
        if "${" in text:
            message = "the name of a queue is part of the plan, so it cannot depend on a param"
            self.report(rules.REFERENCE_IN_NAME, message, path, help="write the name itself")
        elif len(text) > QUEUE_LENGTH:
            message = f"the name of a queue has at most {QUEUE_LENGTH} characters, and this one has {len(text)}"
            self.report(rules.LONG_QUEUE, message, path, help="choose a shorter name")
        elif spelled(text) is not None:
            self.lookalike(text, path)
        elif not text.strip() or text != text.strip() or not text.isprintable():
            message = f"{shortened(text)!r} is not a valid name for a queue: no spaces around it, no control characters"
            self.report(rules.BAD_NAME, message, path)
        else:
            return text
        return None

    def choice(
        self, value: object, path: Path, known: tuple[str, ...], synonyms: Mapping[str, str] | None = None
    ) -> str | None:
        if isinstance(value, str) and value in known:
            return value
        if not isinstance(value, str):
            self.wrong_type(value, path, f"one of: {', '.join(known)}")
        elif spelled(value) is not None:
            self.lookalike(value, path)
        else:
            meant = (synonyms or {}).get(value.lower())
            help = did_you_mean(value, known) if meant is None else f"did you mean {meant!r}?"
            message = f"{_last(path)!r} must be one of {', '.join(known)}, but is {shortened(value)!r}"
            self.report(rules.BAD_CHOICE, message, path, help=help)
        return None

    def duration(self, value: object, path: Path, *, above_zero: bool = False) -> float | str | None:
        """
        Seconds, or a reference to a param.
        """
        if (reference := self._reference(value, path)) is not None:
            return reference or None
        found = seconds(value)
        if found is None or math.isinf(found):
            meant = _duration_meant(value)
            help = f"write {meant}" if meant else "durations are written like 500ms, 2s, 30m, 1h30m"
            message = f"{_last(path)!r} must be a duration, but is {kind_of(value)}"
            self.report(rules.BAD_DURATION, message, path, help=help)
            return None
        if above_zero and found == 0:
            self.report(rules.OUT_OF_RANGE, f"{_last(path)!r} must be longer than 0", path)
            return None
        return found

    def size(self, value: object, path: Path) -> int | str | None:
        """
        Bytes, or a reference to a param.
        """
        if (reference := self._reference(value, path)) is not None:
            return reference or None
        found = size(value)
        if found is None:
            message = f"{_last(path)!r} must be a size, but is {kind_of(value)}"
            self.report(rules.BAD_SIZE, message, path, help="sizes are written like 512MiB, 2GiB, 16kB")
            return None
        if not 0 < found < 2**63:
            self.report(rules.OUT_OF_RANGE, f"{_last(path)!r} must be above 0 and below 8 EiB", path)
            return None
        return found

    def rate(self, value: object, path: Path) -> float | str | None:
        """
        How often in a second, or a reference to a param.
        """
        if (reference := self._reference(value, path)) is not None:
            return reference or None
        found = per_second(value)
        if found is None:
            message = f"{_last(path)!r} must be a number per period, but is {kind_of(value)}"
            help = "rates are written like 50/s, 1000/m, 1/10s"
            if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
                help = f"write {value}/s, or {value}/m"
            self.report(rules.BAD_RATE, message, path, help=help)
        return found

    def whole(self, value: object, path: Path, least: int = LEAST, greatest: int = GREATEST) -> int | str | None:
        """
        A whole number within bounds, or a reference to a param.
        """
        if (reference := self._reference(value, path)) is not None:
            return reference or None
        if isinstance(value, bool) or not isinstance(value, int):
            self.wrong_type(value, path, "a whole number")
            return None
        if not least <= value <= greatest:
            bounds = f"{least} or more" if greatest == GREATEST and value < least else f"from {least} to {greatest}"
            message = f"{_last(path)!r} must be {bounds}, but is {value}"
            self.report(rules.OUT_OF_RANGE, message, path)
            return None
        return value

    def fixed(self, value: object, path: Path, least: int, greatest: int = GREATEST) -> int | None:
        """
        A whole number within bounds that is part of the plan: no param may decide it.
        """
        if isinstance(value, str) and "${" in value:
            message = f"`{_last(path)}` is part of the plan, so it cannot depend on a param"
            self.report(rules.REFERENCE_IN_NAME, message, path, help="write the number itself")
            return None
        found = self.whole(value, path, least, greatest)
        return found if isinstance(found, int) else None

    def _reference(self, value: object, path: Path) -> str | None:
        """
        The reference that a value is; "" where it tries to be one and is wrong (reported); None where it is none.
        """
        if not isinstance(value, str) or "${" not in value:
            return None
        if not self.references(value, path):
            return ""
        if not REFERENCE.fullmatch(value):
            message = f"{_last(path)!r} is a number, but {shortened(value)!r} would be a text"
            self.report(rules.BAD_REFERENCE, message, path, help="make ${params.NAME} the whole value")
            return ""
        return value

    def references(self, value: str, path: Path) -> bool:
        """
        Whether all that looks like a reference is `${params.NAME}`; what is not is reported.
        """
        rest = REFERENCE.sub("", value).replace(ESCAPED, "")
        at = rest.find("${")
        if at < 0:
            return True
        # As GitHub Actions has it, `${{ params.NAME }}`, or whatever stands before the next bracket.
        written = _REFERENCE_LIKE.match(rest, at)
        wrong = rest[at:] if written is None else written[0]
        self.report(
            rules.BAD_REFERENCE,
            f"{shortened(wrong)!r} cannot be filled in: only ${{params.NAME}} is",
            path,
            help=_mended_reference(wrong),
        )
        return False

    def plain(self, value: object, path: Path) -> Any:
        """
        A value of JSON, in which references are right.
        """
        match value:
            case None | bool():
                return value
            case str():
                self.references(value, path)
                if any("\ud800" <= letter <= "\udfff" for letter in value) or "\0" in value:
                    self.report(rules.NOT_PLAIN, "a text here cannot hold NUL characters or half of a pair", path)
                return value
            case int():
                if not -(2**63) <= value < 2**63:
                    self.report(
                        rules.NOT_PLAIN, f"the number {value} does not fit in 64 bits", path, help="write a text"
                    )
                return value
            case float():
                if not math.isfinite(value):
                    message = f"{value} is not a number that JSON can hold"
                    self.report(rules.NOT_PLAIN, message, path, help="write it as a text, in quotes")
                return value
            case list() | tuple():
                items = cast("list[object]", value)
                return [self.plain(item, (*path, index)) for index, item in enumerate(items)]
            case Mapping():
                members = cast("Mapping[object, object]", value)
                for key in members:
                    if not isinstance(key, str):
                        message = f"a key here must be a text, but is {kind_of(key)}"
                        self.report(rules.NOT_PLAIN, message, (*path, str(key)), key=True, help="put it in quotes")
                return {str(key): self.plain(item, (*path, str(key))) for key, item in members.items()}
            case _:
                message = f"a plan cannot hold {kind_of(value)}"
                self.report(rules.NOT_PLAIN, message, path, help="use texts, numbers, true, false, lists and mappings")
                return None


RULES_OF: Mapping[re.Pattern[str], str] = {
    NAME: f"a lower-case letter, then lower-case letters, digits, '_' and '-'; at most {NAME_LENGTH} characters",
    PARAM: "letters, digits and '_', not starting with a digit",
    PORT: "letters, digits, '_', '-' and '.', starting with a letter",
    TASK: "a dotted path of a module and a function in it, like 'package.module.function'",
}


def _with_a_blank(value: object) -> str | None:
    """
    What is missing in a text that was meant to be a key with its value.
    """
    found = _GLUED.match(value) if isinstance(value, str) else None
    return None if found is None else f"a space is missing after `{found[0]}`"


def _suggested(value: str, pattern: re.Pattern[str]) -> str | None:
    if pattern is not TASK and (missing := _with_a_blank(value)) is not None:
        return missing
    if pattern is NAME and all(NAME.fullmatch(part.strip()) for part in value.split(",")) and "," in value:
        return f"write several as a list: [{value}]"
    if pattern is TASK:
        dotted = re.sub(r"\.py(?=[:.]|$)", "", value).replace(":", ".").replace("/", ".")
        return f"write {dotted!r}" if dotted != value and TASK.fullmatch(dotted) else None
    plain = unicodedata.normalize("NFKD", value.lower()).encode("ascii", "ignore").decode()
    mended = re.sub(r"[^a-z0-9_]+", "_" if pattern is PARAM else "-", plain).strip("-_")
    if mended != value and pattern.fullmatch(mended):
        return f"write {mended!r}"
    return None if value.isascii() else "of letters, only a to z"


def _duration_meant(value: object) -> str | None:
    """
    `30 minutes` as durations are written.
    """
    found = re.fullmatch(r"\s*([0-9]+)\s*([a-z]+)\.?\s*", value.lower()) if isinstance(value, str) else None
    for words, unit in ((("sec", "secs"), "s"), (("min", "mins"), "m"), (("hr", "hrs"), "h")):
        if found and found[2] in words:
            return f"{found[1]}{unit}"
    for word, unit in (("second", "s"), ("minute", "m"), ("hour", "h"), ("day", "d"), ("week", "w")):
        if found and found[2].removesuffix("s") == word:
            return f"{found[1]}{unit}"
    return None


def _mended_reference(wrong: str) -> str:
    inner = wrong.removeprefix("${").strip("{}").strip()
    name = inner.removeprefix("params.").removeprefix("param.").strip()
    if inner.startswith(("env.", "env:")) or (PARAM.fullmatch(inner) and inner.isupper()):
        variable = re.sub(r"^env[.:]", "", inner)
        return f"declare a param that has `env: {variable}`, and write ${{params.NAME}}"
    return (
        f"write ${{params.{name}}}" if PARAM.fullmatch(name) else "write ${params.NAME}; a default belongs in the param"
    )


def _called(path: Path) -> str:
    return repr(_last(path)) if path else "a pipeline"


def _last(path: Path) -> str:
    return next((part for part in reversed(path) if isinstance(part, str)), "pipeline")
