"""
What commands print with `--json`, held to what `oaflow schema --json-output` says of it.
"""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from oaflow.operations.printing import FORMS, output_schema

# Of many lines so many are looked at.
MOST = 50


def command_of(arguments: Sequence[str]) -> str | None:
    """
    Which command with `--json` it is.
    """
    return next((name for name in (" ".join(arguments[:2]), *arguments[:1]) if name in FORMS), None)


def forms_of(arguments: Sequence[str], out: str) -> set[int]:
    """
    The forms of its command, by number, that all of the output has; none where it is not as documented.
    """
    command = command_of(arguments)
    if command is None:
        return set()
    return {
        number for number, (lines, validator) in enumerate(_validators(command)) if _holds(out, validator, lines=lines)
    }


def _holds(out: str, validator: Any, *, lines: bool) -> bool:
    try:
        values = [json.loads(line) for line in out.splitlines()[:MOST]] if lines else [json.loads(out)]
    except json.JSONDecodeError:
        return False
    return all(validator.is_valid(value) for value in values)


@cache
def _validators(command: str) -> list[tuple[bool, Any]]:
    whole = output_schema(command)
    return [
        (form["lines"], Draft202012Validator({"$defs": whole["$defs"], **form["schema"]}))
        for form in whole["commands"][command]
    ]
