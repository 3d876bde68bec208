"""
Pipeline files as plain data in which every value has its place, and what is wrong with them as YAML.

Read event by event with PyYAML's C parser: so places are exact, nothing is constructed, and what a hostile file could
do (aliases of aliases, a thousand brackets) is stopped while it is read. Plain scalars mean what YAML 1.2 says.
"""

import itertools
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, cast

import yaml

from oaflow.compiler.quoting import quoted_expression
from oaflow.compiler.rules import file as rules
from oaflow.diagnostics import Diagnostic, Path, Rule, Span, Spans, errors

LARGEST = 2**20
DEEPEST = 64
# Values that all aliases of a file may repeat together.
REPEATED = 1000

# Without libyaml PyYAML parses in Python: the same events, 10 times slower.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = {".inf": "inf", "+.inf": "inf", "-.inf": "-inf", ".nan": "nan"}

# What YAML calls a line break; str.splitlines knows more of them.
BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")

_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]")


@dataclass(frozen=True)
class Loaded:
    """
    What stood in a file. `data` is None where `diagnostics` say why.
    """

    data: Any
    spans: Spans
    diagnostics: tuple[Diagnostic, ...] = ()


def _module_of(path: FilePath) -> str:
    """
    The name that a file of Python is imported by: with those of the packages that it lies in.
    """
    names = [path.stem]
    for folder in path.absolute().parents:
        if not (folder / "__init__.py").is_file():
            break
        names.insert(0, folder.name)
    return ".".join(names)


def load(path: FilePath) -> Loaded:
    """
    Read a pipeline file.
    """
    name = shown_path(path)
    if path.suffix == ".py" and path.is_file():
        help = f"a pipeline in Python is named by its module: {_module_of(path)}:NAME"
        return _refused(rules.SYNTAX, f"{name!r} is Python, not YAML", name, help)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return _refused(
                rules.FOLDER, f"{name!r} is a folder, but a pipeline is one file", name, _pipelines_in(path)
            )
        if not stat.S_ISREG(mode):
            return _refused(rules.UNREADABLE, f"{name!r} is not a regular file", name)
        with path.open("rb") as handle:
            raw = handle.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return _refused(rules.UNREADABLE, f"{name!r} cannot be read: {reason.lower()}", name)
    if len(raw) > LARGEST:
        help = "put data in separate files, and their paths in params"
        return _refused(rules.TOO_LARGE, f"{name!r} is larger than 1 MiB", name, help)
    return load_bytes(raw, name)


def load_bytes(raw: bytes, name: str) -> Loaded:
    """
    Read the content of a pipeline file.
    """
    if found := _CONTROL.search(raw):
        what = "UTF-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else None
        message = f"{name!r} is not text: byte {found.start()} is {raw[found.start()]:#04x}"
        return _refused(rules.BINARY, message, name, f"save it as UTF-8: it looks like {what}" if what else None)
    try:
        text = raw.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError as error:
        return _not_utf8(raw, error.start, name)
    return load_text(text, name)


def load_text(text: str, name: str | None = None) -> Loaded:
    """
    Read the text of a pipeline file.
    """
    composer = _Composer(text, name)
    data = composer.compose()
    found = tuple(composer.found)
    return Loaded(None if errors(found) else data, Spans(name, composer.values, composer.keys, composer.lines), found)


def shown_path(path: FilePath) -> str:
    """
    The path as short as it can be typed here.
    """
    here = FilePath.cwd()
    return str(path.relative_to(here) if path.is_absolute() and path.is_relative_to(here) else path)


def _refused(rule: Rule, message: str, name: str, help: str | None = None) -> Loaded:
    return Loaded(None, Spans(name), (Diagnostic(rule, message, Span(file=name), help),))


def _pipelines_in(folder: FilePath) -> str | None:
    try:
        names = sorted(str(path) for path in folder.iterdir() if path.suffix in (".yml", ".yaml"))
    except OSError:
        return None
    return f"name the file: {', '.join(names[:5])}" if names else None


def _not_utf8(raw: bytes, at: int, name: str) -> Loaded:
    before = raw[:at].decode()
    lines = BREAK.split(before)
    # Shown as Latin-1, where every byte is a letter, and most often the one that was typed.
    rest = BREAK.split(raw[at:].decode("latin-1"))[0]
    line, column = len(lines), len(lines[-1]) + 1
    span = Span((), name, line, column, line, column + 1, lines[-1] + rest)
    message = f"the file is not UTF-8: byte {at} is {raw[at]:#04x}"
    help = f"if it is Latin-1: iconv -f LATIN1 -t UTF-8 {name}"
    return Loaded(None, Spans(name), (Diagnostic(rules.ENCODING, message, span, help),))


@dataclass
class _Anchored:
    """
    What an anchor marks. `size` is None as long as it is not read to its end.
    """

    data: Any = None
    size: int | None = None
    values: dict[Path, Span] = field(default_factory=dict[Path, Span])
    keys: dict[Path, Span] = field(default_factory=dict[Path, Span])


class _Stop(Exception):
    """
    Reading on makes no sense; what was found is noted.
    """


class _Composer:
    """
    Puts the events of one file together, with the place of all that it puts.
    """

    def __init__(self, text: str, name: str | None) -> None:
        self.name = name
        self.lines = BREAK.split(text)
        self.found: list[Diagnostic] = []
        self.values: dict[Path, Span] = {}
        self.keys: dict[Path, Span] = {}
        # The same in the order read, so that what stands inside an anchor is a slice.
        self._values_read: list[tuple[Path, Span]] = []
        self._keys_read: list[tuple[Path, Span]] = []
        self._text = text
        self._anchors: dict[str, _Anchored] = {}
        self._size = 0
        self._repeated = 0

    def compose(self) -> Any:
        """
        The data of the one document; None where something is wrong.
        """
        try:
            read = events(self._text)
            data, documents = None, 0
            for event in read:
                if isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        help = "one file is one pipeline: put the other one in a separate file"
                        message = "the file holds more than one YAML document"
                        raise self._stop(rules.SEVERAL_DOCUMENTS, message, self._span((), event), help)
                    data = self._value(next(read), read, ())
            if documents == 0 or data is None:
                self._empty()
            return data
        except yaml.MarkedYAMLError as error:
            self._syntax(error)
        except yaml.reader.ReaderError as error:
            self._strange_character(error)
        except _Stop:
            return None
        return None

    def _value(self, event: yaml.Event, events: Iterator[yaml.Event], path: Path) -> Any:
        span = self._span(path, event)
        before, known = self._size, (len(self._values_read), len(self._keys_read))
        self._place_value(path, span)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path, span)
        if len(path) > DEEPEST:
            message = f"lists and mappings are nested more than {DEEPEST} deep here"
            raise self._stop(rules.TOO_DEEP, message, span, "no pipeline needs that: is a bracket missing?")
        if getattr(event, "tag", None) is not None:
            message = f"tag {self._tag(event)!r} has no meaning in a pipeline"
            # Before what is in quotes it is a tag, and before anything else it may be an expression with `!`.
            cut = None if getattr(event, "style", None) else quoted_expression(span.source)
            help = cut or "remove it: write only the value, in quotes if it is text"
            self._note(rules.TAG, message, span, help)
        anchor = cast("str | None", getattr(event, "anchor", None))
        marked = _Anchored()
        if anchor is not None:
            self._anchors[anchor] = marked
        self._size += 1
        match event:
            case yaml.ScalarEvent():
                data = scalar(event)
            case yaml.SequenceStartEvent():
                data = self._sequence(events, path)
            case _:
                data = self._mapping(events, path)
        if anchor is not None:
            marked.data, marked.size = data, self._size - before
            marked.values = {place[len(path) :]: span for place, span in self._values_read[known[0] :]}
            marked.keys = {place[len(path) :]: span for place, span in self._keys_read[known[1] :] if place != path}
        return data

    def _sequence(self, events: Iterator[yaml.Event], path: Path) -> list[Any]:
        items: list[Any] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            items.append(self._value(event, events, (*path, len(items))))
        return items

    def _mapping(self, events: Iterator[yaml.Event], path: Path) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            span = self._span((*path, str(getattr(event, "value", ""))), event)
            key, place = self._key(event, span), span.path
            if key in members:
                first = self.keys[place]
                help = "remove one of the two, or rename it"
                self._note(rules.DUPLICATE_KEY, f"key {key!r} is given twice", span, help, ("the first is here", first))
                # Read like any other, and put aside.
                self._value(next(events), events, place)
                self.keys[place] = first
                continue
            self._place_key(place, span)
            members[key] = self._value(next(events), events, place)
        return members

    def _key(self, event: yaml.Event, span: Span) -> str:
        match event:
            case yaml.ScalarEvent(value="<<") if not event.style:
                help = "what all stages share goes under `defaults`; write out the rest"
                self._note(rules.MERGE_KEY, "merge keys (`<<`) are not part of the language", span, help)
                return "<<"
            case yaml.ScalarEvent():
                key = scalar(event)
                if event.tag is not None:
                    self._note(rules.TAG, f"tag {self._tag(event)!r} has no meaning in a pipeline", span, "take it out")
                if not isinstance(key, str):
                    what = "nothing" if key is None else f"{event.value}"
                    self._note(rules.BAD_KEY, f"a key must be a text, and this one is {what}", span, "put it in quotes")
                return str(event.value)
            case yaml.AliasEvent():
                raise self._stop(rules.BAD_KEY, "an alias cannot be a key", span, "write the key itself")
            case _:
                kind = "list" if isinstance(event, yaml.SequenceStartEvent) else "mapping"
                help = "if it is a text, put it in quotes"
                raise self._stop(rules.BAD_KEY, f"a {kind} cannot be a key", span, help)

    def _alias(self, event: yaml.AliasEvent, path: Path, span: Span) -> Any:
        marked = self._anchors.get(event.anchor)
        if marked is None:
            message = f"no value above is marked with `&{event.anchor}`"
            raise self._stop(rules.SYNTAX, message, span, f"if it is a text, put it in quotes: '*{event.anchor}'")
        if marked.size is None:
            message = f"alias `*{event.anchor}` is inside what it repeats"
            raise self._stop(rules.ALIASES, message, span, "write the value itself")
        self._repeated += marked.size
        self._size += marked.size
        if self._repeated > REPEATED:
            message = f"the aliases of this file repeat more than {REPEATED} values"
            raise self._stop(rules.ALIASES, message, span, "write it out, or generate the pipeline in Python")
        deepest = max((len(place) for place in marked.values), default=0)
        if len(path) + deepest > DEEPEST:
            raise self._stop(rules.TOO_DEEP, f"this alias nests values more than {DEEPEST} deep", span)
        for place, one in marked.values.items():
            self._place_value((*path, *place), one)
        for place, one in marked.keys.items():
            self._place_key((*path, *place), one)
        return marked.data

    # --- places and mistakes ---

    def _place_value(self, path: Path, span: Span) -> None:
        self.values[path] = span
        self._values_read.append((path, span))

    def _place_key(self, path: Path, span: Span) -> None:
        self.keys[path] = span
        self._keys_read.append((path, span))

    def _span(self, path: Path, event: yaml.Event) -> Span:
        start, end = event.start_mark, event.end_mark
        return Span(
            path, self.name, start.line + 1, start.column + 1, end.line + 1, end.column + 1, self._line(start.line)
        )

    def _line(self, number: int) -> str:
        return self.lines[number] if number < len(self.lines) else ""

    def _tag(self, event: yaml.Event) -> str:
        mark = event.start_mark
        found = re.compile(r"(?:&\S+\s+)?(!\S*)").match(self._line(mark.line), mark.column)
        return found[1].rstrip(",]}") if found else str(getattr(event, "tag", "!"))

    def _note(self, rule: Rule, message: str, span: Span, help: str | None = None, *notes: tuple[str, Span]) -> None:
        self.found.append(Diagnostic(rule, message, span, help, notes))

    def _stop(self, rule: Rule, message: str, span: Span, help: str | None = None) -> _Stop:
        self._note(rule, message, span, help)
        return _Stop()

    def _empty(self) -> None:
        only = "comments only" if all(line.lstrip()[:1] in ("", "#") for line in self.lines) else "markers but no value"
        message = "there is nothing in the file" if not self._text.strip() else f"the file holds {only}"
        help = "a pipeline starts with `pipeline: NAME` and `stages:`"
        self._note(rules.EMPTY, message, Span(file=self.name), help)

    def _syntax(self, error: yaml.MarkedYAMLError) -> None:
        mark = error.problem_mark or error.context_mark
        if error.problem in _UNCLOSED:
            # Noticed at the end of the file, or at a `---`: all between is text, and may be right.
            mark = error.context_mark or mark
        line, column = (mark.line, mark.column) if mark is not None else (0, 0)
        notes: tuple[tuple[str, Span], ...] = ()
        for at in (line, line - 1):
            if re.match(r" *\t", self._line(at)) and at >= 0:
                column = self._line(at).index("\t")
                span = Span((), self.name, at + 1, column + 1, at + 1, column + 2, self._line(at))
                self._note(rules.TAB, "this line is indented with a tab", span, "indent with spaces")
                return
        opened = error.context_mark
        if opened is not None and (opened.line, opened.column) != (line, column):
            at = Span((), self.name, opened.line + 1, opened.column + 1, opened.line + 1, 0, self._line(opened.line))
            notes = ((error.context or "it starts here", at),)
        if line >= len(self.lines) or (line == len(self.lines) - 1 and not self.lines[line]):
            # The parser missed something until the very end: shown behind the last line that has text.
            line = max((number for number, text in enumerate(self.lines) if text.strip()), default=0)
            column = len(self.lines[line])
        span = Span((), self.name, line + 1, column + 1, line + 1, column + 2, self._line(line))
        if "nesting depth" in (error.problem or ""):
            # libyaml looks ahead, and has a limit of its own.
            message = f"lists and mappings are nested more than {DEEPEST} deep here"
            self._note(rules.TOO_DEEP, message, span, "no pipeline needs that: is a bracket missing?")
            return
        # A flow mapping that an expression breaks is told where it breaks; the expression may stand in the line before.
        cut = quoted_expression(self._line(line)) or (quoted_expression(notes[0][1].source) if notes else None)
        if (earlier := self._earlier(line, error.problem or "")) is not None:
            notes = (*notes, earlier)
        problem = _PROBLEMS.get(error.problem or "") or (error.problem or "it cannot be read").replace(
            "found character '\\t'", "found a tab"
        )
        self._note(rules.SYNTAX, f"this is not YAML: {problem}", span, cut or _guess(self._line(line), problem), *notes)

    def _earlier(self, line: int, problem: str) -> tuple[str, Span] | None:
        """
        The line above that is the likelier mistake: where a value begins that is read on, or where lines stand further
        in.
        """
        indent = self._indent(line)
        above = [number for number in range(line - 1, -1, -1) if self._line(number).strip(" ")[:1] not in ("", "#")]
        if "mapping values are not allowed" in problem and above:
            if self._indent(above[0]) < indent:
                return "the value that continues there starts here", self._whole(above[0])
            if not _KEYED.search(self._line(above[0])):
                return "`: ` is missing here, after a key", self._whole(above[0])
        if "did not find expected key" not in problem and "expected <block end>" not in problem:
            return None
        further = list(itertools.takewhile(lambda number: self._indent(number) > indent, above))
        outer = above[len(further) : len(further) + 1]
        if not further or (outer and self._indent(outer[0]) == indent):
            return None
        return "from here on, it is indented further", self._whole(further[-1])

    def _indent(self, number: int) -> int:
        text = self._line(number)
        return len(text) - len(text.lstrip(" "))

    def _whole(self, number: int) -> Span:
        text = self._line(number)
        return Span((), self.name, number + 1, self._indent(number) + 1, number + 1, len(text) + 1, text)

    def _strange_character(self, error: yaml.reader.ReaderError) -> None:
        # A parser in C counts bytes here, one in Python characters: looked up anew.
        allowed = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
        found = allowed.search(self._text)
        at = found.start() if found else 0
        before = BREAK.split(self._text[:at])
        line, column = len(before), len(before[-1]) + 1
        span = Span((), self.name, line, column, line, column + 1, self._line(line - 1))
        code = f"U+{ord(self._text[at]):04X}" if found else str(error.reason)
        self._note(rules.BINARY, f"YAML does not allow the character {code}", span, "take it out")


# What a line has that begins with a key, or is an item of a list.
_KEYED = re.compile(r":(\s|$)|^\s*-\s")

# What libyaml says in words of its grammar.
_UNCLOSED = ("found unexpected end of stream", "found unexpected document indicator")
_PROBLEMS = {
    **dict.fromkeys(_UNCLOSED, "the quote here is never closed"),
    "did not find expected <document start>": "the text above ends before this line",
    "did not find expected node content": "a value is missing here",
}

# How a quote is written inside of a text in such quotes.
_QUOTED = {"'": "''", '"': '\\"'}

# What is filled in, and stands without quotes in a list or mapping on one line, which its brackets break.
_BARE_REFERENCE = re.compile(r"[\[{,:]\s*([^\s'\"\[\]{},]*\$(?:\{\{[^{}]*\}\}|\{[^{}]*\})[^\s'\"\[\]{},]*)")

# What regular expressions escape and YAML does not know; and what both know.
_ESCAPES = re.compile(r"\\[^0abtnvfre \"/\\N_LPxuU]")
_YAML_ESCAPES = re.compile(r"\\[\"/\\]")


def _guess(line: str, problem: str) -> str | None:
    """
    The most likely repair of a syntax error, from the line that it was noticed in.
    """
    if "unknown escape character" in problem:
        return f"in double quotes `\\` starts an escape; in single quotes it stands for itself{_in_single_quotes(line)}"
    if problem == _PROBLEMS[_UNCLOSED[0]]:
        return "write the same quote after the text"
    if reference := _BARE_REFERENCE.search(line):
        return f'between brackets `${{}}` stands in quotes: "{reference[1]}"'
    value = line.partition(": ")[2].strip()
    if value[:1] in ("@", "`", "%", "*", "&"):
        return f"put the value in quotes: '{value}'"
    if value[:1] in _QUOTED and value.count(value[0]) > 1:
        return f"inside a quoted text, write a quote as {_QUOTED[value[0]]}"
    if "mapping values are not allowed" in problem:
        return "put a value that contains `: ` in quotes; or the line is indented too far"
    if "expected ',' or" in problem:
        return "is a bracket or a comma missing, here or above?"
    if "could not find expected ':'" in problem:
        return "is `: ` missing after the key?"
    if "expected <block end>" in problem or "did not find expected key" in problem:
        return "is the line indented like its neighbours?"
    if "alphabetic or numeric character" in problem and (alias := re.search(r"(?<![\w'\"])[*&][^\s,\]}]*", line)):
        return f"put the value in quotes: '{alias[0]}'"
    if "cannot start any token" in problem:
        return "put a value that starts with `%`, `@` or a backtick in quotes"
    if "are not allowed in this context" in problem:
        return "put the value in quotes, or start it on a line of its own"
    if problem == _PROBLEMS["did not find expected <document start>"]:
        return "write nothing before the first key: is there a stray `%`, `...` or bracket above?"
    if problem == _PROBLEMS["did not find expected node content"]:
        return "write it, as quotes if it should be empty; or remove the comma or the bracket"
    return None


def _in_single_quotes(line: str) -> str:
    """
    A text with an escape of a regular expression in double quotes, as it is written in single ones; nothing where
    another escape in it would lose its meaning.
    """
    for inner in re.findall(r'"((?:[^"\\]|\\.)*)"', line):
        if _ESCAPES.search(inner) and not _YAML_ESCAPES.search(inner):
            doubled = inner.replace("'", "''")
            return f": '{doubled}'"
    return ""


def events(text: str) -> Iterator[yaml.Event]:
    """
    What the parser sees, one after the other; raises `yaml.YAMLError` where it can see no further.
    """
    return cast("Iterator[yaml.Event]", yaml.parse(text, Loader=_Loader))


def scalar(event: yaml.ScalarEvent) -> Any:
    """
    What a scalar means by the core schema of YAML 1.2, but for its capitals: `True` and `NULL` are words.
    """
    text = str(event.value)
    if event.style or event.tag is not None:
        return text
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    # Python refuses to read numbers of thousands of digits; no key takes one.
    if len(text) < 1000 and _INT.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if len(text) < 1000 and _FLOAT.fullmatch(text):
        return float(text)
    if text.lower() in _NOT_FINITE:
        return float(_NOT_FINITE[text.lower()])
    return text
