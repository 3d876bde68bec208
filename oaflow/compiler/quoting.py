"""
Guesses what was meant by an expression that YAML has cut short, because its quotes are missing or wrong. Pure.
"""

import re

_KEYS = ("when", "where", "lock", "enabled")

# A key of an expression with all that follows it on its line.
_EXPRESSION = re.compile(rf"\b({'|'.join(_KEYS)}):\s+(?=(.+))")
_COMMENT = re.compile(r"\s+#.*")

# Where it ends: at the next key of the same mapping.
_NEXT_KEY = re.compile(r",\s*[a-z_]+:\s")

_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"\\]|\\.)*\"")
_PAIRS = {")": "(", "]": "[", "}": "{"}


def quoted_expression(line: str, *, comment: bool = True) -> str | None:
    """
    The help for a line with an expression that is not well quoted; None where there is none.

    Args:
        comment: whether what follows ` #` is one, or belongs to the expression.
    """
    for found in _EXPRESSION.finditer(line):
        meant = _meant(_COMMENT.sub("", found[2]) if comment else found[2])
        if meant is not None:
            return f"an expression must be in quotes: {found[1]}: {_in_quotes(meant)}"
    return None


def quoted_line(line: str, *, comment: bool = True) -> str:
    """
    The same line, with the first expression that is not well quoted in quotes.
    """
    for found in _EXPRESSION.finditer(line):
        rest = _COMMENT.sub("", found[2]) if comment else found[2]
        meant = _meant(rest)
        if meant is not None:
            start, written = found.start(2), _written(rest)
            return f"{line[:start]}{_in_quotes(meant)}{line[start + len(written) :]}"
    return line


def _written(rest: str) -> str:
    return _without_closers(_NEXT_KEY.split(rest, maxsplit=1)[0].strip())


def _meant(rest: str) -> str | None:
    written = _written(rest)
    # A mapping, or what is in quotes already.
    if not written or _QUOTED.fullmatch(written) or (written[0] == "{" and ":" in written):
        return None
    if written[0] + written[-1] in ("{}", "[]", "''", '""'):
        inner = written[1:-1].strip()
    else:
        # A quote that was begun with, and never ended.
        inner = written[1:].strip() if written[0] in ("'", '"') else written
    return inner if _can_be_read(inner) else written


def _can_be_read(text: str) -> bool:
    # Only where something was cut: most pipelines need not wait for it.
    from oaflow.expressions import can_be_read

    return can_be_read(text)


def is_balanced(text: str) -> bool:
    """
    Whether each bracket of a text has its other, and each quote.
    """
    return _without_closers(text) == text and not _open(text)


def _without_closers(text: str) -> str:
    """
    A text up to the first bracket that closes what was opened before it.
    """
    opened: list[str] = []
    for position, letter in enumerate(text):
        if letter in _PAIRS.values():
            opened.append(letter)
        elif letter in _PAIRS and (not opened or opened.pop() != _PAIRS[letter]):
            return text[:position].rstrip()
    return text


def _open(text: str) -> bool:
    bare = re.sub(r"'[^']*'|\"[^\"]*\"", "", text)
    return any(letter in bare for letter in "'\"") or any(
        bare.count(left) != bare.count(right) for right, left in _PAIRS.items()
    )


def _in_quotes(text: str) -> str:
    if '"' not in text:
        return f'"{text}"'
    return f"'{text.replace(chr(39), chr(39) * 2)}'"
