"""
A command line that the parser refuses: what is wrong with it, and what to type in its place.
"""

from collections.abc import Iterable
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
        help = f"{_shape(context)}   ({page})"
    elif options := getattr(error, "possibilities", None):
        text, help = error.message, f"did you mean {closest(error.option_name, options) or options[0]!r}?"
    elif context is not None and context.parent is None and (meant := _of_others(text)):
        text, help = text.partition(" Did you mean ")[0], meant
    elif " Did you mean " in text:
        text, _, meant = text.partition(" Did you mean ")
        help = f"did you mean {meant.replace(', ', ' or ')}"
    return UsageError(text[:1].lower() + text[1:].rstrip("."), help=help)


def _of_others(text: str) -> str | None:
    _, found, rest = text.partition("No such command '")
    return _OF_OTHERS.get(rest.partition("'")[0]) if found else None


def _shape(context: Any) -> str:
    """
    The command with all that it needs.
    """
    words: list[str] = [context.command_path]
    for param in context.command.params:
        if param.param_type_name == "argument":
            words.append(param.metavar if param.required else f"[{param.metavar}]")
        elif param.required:
            words.append(f"{min(param.opts, key=len)} {param.metavar or param.name.upper()}")
    return " ".join(words)


def _command(arguments: list[str], known: Iterable[str]) -> str:
    named = next((word for word in arguments if not word.startswith("-")), "")
    return f"oaflow {named}" if named in known else "oaflow"
