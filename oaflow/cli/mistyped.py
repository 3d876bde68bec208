"""
A command line that the parser refuses: what is wrong with it, and what to type in its place.
"""

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from oaflow.errors import UsageError
from oaflow.spelling import closest

# Commands that other programs have, and what is typed here in their place.
_OF_OTHERS = {
    "help": "oaflow --help",
    "init": "oaflow new NAME",
    "list": "oaflow status --all",
    "migrate": "oaflow db migrate",
    "runs": "oaflow status --all",
    "serve": "oaflow web",
    "start": "oaflow run PIPELINE -d DATASET",
    "stop": "oaflow pause RUN, or oaflow cancel RUN",
    "validate": "oaflow check PIPELINE",
    "version": "oaflow --version",
}


def mistyped(error: Any, arguments: list[str], known: Iterable[str]) -> UsageError:
    """
    What the parser says, as an error of ours.

    Args:
        error: the parser's.
        arguments: of the command, from which it is found where the parser does not say it.
        known: the names of all commands.
    """
    text = str(error.format_message())
    context = getattr(error, "ctx", None)
    page = f"{context.command_path if context is not None else _command(arguments, known)} --help"
    help = page
    if type(error).__name__ == "MissingParameter" and context is not None:
        help = f"{_completed(error.param, context, arguments)}   # {page}"
    elif type(error).__name__ == "NoSuchOption" and context is not None:
        text, help = error.message, _in_place_of_option(error.option_name, context) or page
    elif context is not None and context.parent is None and (meant := _in_place_of(text, arguments, known)):
        text, help = text.partition(" Did you mean ")[0], meant
    elif " Did you mean " in text:
        text, _, meant = text.partition(" Did you mean ")
        help = f"did you mean {meant.replace(', ', ' or ')}"
    return UsageError(text[:1].lower() + text[1:].rstrip("."), help=help)


def _in_place_of(text: str, arguments: list[str], known: Iterable[str]) -> str | None:
    """
    What to type where the command is that of another program, or the name of a pipeline.
    """
    _, found, rest = text.partition("No such command '")
    if not found:
        return None
    typed = rest.partition("'")[0]
    if typed == "help" and arguments[-1] in known:
        return f"oaflow {arguments[-1]} --help"
    if typed in _OF_OTHERS:
        return _OF_OTHERS[typed]
    # Here, as a command that is known needs none of it.
    from oaflow.operations.programs import known_names

    return f"oaflow run {typed} -d DATASET" if typed in known_names(Path.cwd()) else None


def _in_place_of_option(typed: str, context: Any) -> str | None:
    # Without their dashes, which make any two of them alike.
    options = {option[2:] for param in context.command.params for option in param.opts if option.startswith("--")}
    name = typed.removeprefix("--")
    if meant := closest(name, options):
        return f"did you mean '--{meant}'?"
    if "param" not in options or name.startswith("-"):
        return None
    return f"a param is set with -p {name}=VALUE   ({context.command_path} --help)"


def _completed(missing: Any, context: Any, arguments: list[str]) -> str:
    """
    What was typed, with what it lacks; where nothing was, the command with all that it takes.
    """
    params, program = context.command.params, context.command_path.split()[0]
    if [program, *arguments] == context.command_path.split():
        return " ".join([context.command_path, *filter(None, map(_shape, params))])
    lacking = [param for param in params if param is missing or _is_lacking(param, arguments)]
    return " ".join([shlex.join([program, *arguments]), *map(_shape, lacking)])


def _is_lacking(param: Any, arguments: list[str]) -> bool:
    is_option = param.param_type_name == "option"
    return is_option and param.required and not any(word.startswith(tuple(param.opts)) for word in arguments)


def _shape(param: Any) -> str:
    if param.param_type_name == "argument":
        return param.metavar if param.required else f"[{param.metavar}]"
    return f"{min(param.opts, key=len)} {param.metavar or param.name.upper()}" if param.required else ""


def _command(arguments: list[str], known: Iterable[str]) -> str:
    named = next((word for word in arguments if not word.startswith("-")), "")
    return f"oaflow {named}" if named in known else "oaflow"
