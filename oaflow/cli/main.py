"""
The command `oaflow`: its groups of commands, and what becomes of an error.
"""

import gc
import os
import sys
from typing import Annotated, Any

import typer

from oaflow.cli import (
    asking,
    assisting,
    authoring,
    browsing,
    editing,
    finding,
    keeping,
    rerunning,
    running,
    saving,
    scheduling,
    serving,
    webhooks,
    writing,
)
from oaflow.cli.options import debugging, version_option
from oaflow.cli.pages import Pages

app = typer.Typer(
    name="oaflow",
    help="Document pipelines on Postgres: checked before anything runs, each job handed over exactly once.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    cls=Pages,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: oaflow run ingest -d demo",
)

GROUPS = (
    running,
    rerunning,
    scheduling,
    writing,
    authoring,
    editing,
    asking,
    browsing,
    assisting,
    finding,
    keeping,
    serving,
    webhooks,
    saving,
)

for group in GROUPS:
    group.register(app)


@app.callback()
def _root(
    version: Annotated[bool, version_option] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with an error; may stand anywhere.")] = False,
) -> None:
    pass


def main() -> None:
    """
    Runs the command line and ends the process with its exit code.
    """
    gc.freeze()  # what has been imported stays, and is not looked through
    arguments = sys.argv[1:]
    debug = _take_debug(arguments) or os.environ.get("OAFLOW_DEBUG", "").lower() in ("1", "true", "yes", "on")
    if len(arguments) > 1 and arguments[0] in ("--show-completion", "--install-completion"):
        # Typer reads the name of a shell after these only where it may not look for the one that it was started from.
        os.environ["_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"] = "1"
    if "#" in arguments[:-1]:
        # What is proposed may have a remark behind it. Most shells leave that out; zsh does not, unless it is told to.
        del arguments[arguments.index("#") :]
    code = run(arguments, debug=debug)
    gc.freeze()  # nor is what is left at the end: a fifth of the CPU of a short command
    sys.exit(code)


def run(arguments: list[str], *, debug: bool = False) -> int:
    """
    Runs one command.

    Returns:
        its exit code: 0 fine; 1 work failed; 2 the command is wrong; 3 the environment; 130 interrupted.
    """
    from oaflow.errors import OaflowError

    debugging.set(debug)
    try:
        answer: Any = app(args=arguments, prog_name="oaflow", standalone_mode=False)
        return answer if isinstance(answer, int) else 0
    except OaflowError as error:
        if debug:
            raise
        from oaflow.cli.output import complain

        complain(error)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read stdout has seen enough, as `head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except typer.Abort:
        return 130
    except Exception as error:
        if debug:
            raise
        return _unexpected(error, arguments)


def _take_debug(arguments: list[str]) -> bool:
    """
    Takes `--debug` out, wherever it stands before a `--`.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    found = "--debug" in arguments[:end]
    arguments[:end] = [argument for argument in arguments[:end] if argument != "--debug"]
    return found


def _unexpected(error: Exception, arguments: list[str]) -> int:
    from oaflow.cli.output import complain
    from oaflow.errors import NoRoomError, OaflowError, says_full

    # Raised by the parser of the command line: it has a message of its own and no traceback worth showing.
    message = getattr(error, "format_message", None)
    if callable(message) and hasattr(error, "exit_code"):
        text = str(message())
        if type(error).__name__ == "NoArgsIsHelpError":
            sys.stderr.write(text + "\n")
            return 2
        from oaflow.cli.mistyped import mistyped

        known = [info.name for info in (*app.registered_commands, *app.registered_groups) if isinstance(info.name, str)]
        complain(mistyped(error, arguments, known))
        return 2
    if type(error).__name__ == "ValidationError" and getattr(error, "title", None) == "Settings":
        from oaflow.settings import wrong

        complain(wrong(error))  # pyright: ignore[reportArgumentType]  # pydantic's, not imported here
        return 3
    if says_full(error):
        problem = NoRoomError("the output", str(error).partition("\n")[0])
        complain(problem)
        return problem.exit_code
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        # What was typed may be too long for a name, or lie where one may not look: no bug.
        complain(OaflowError(f"{os.fsdecode(error.filename)!r}: {error.strerror}", help="--debug shows where"))
        return 3
    kind = type(error)
    complain(
        OaflowError(
            f"{kind.__name__}: {error}" if str(error) else kind.__name__,
            help="this is a bug (oaflow explain OAF901); --debug shows where",
        )
    )
    return 1


if __name__ == "__main__":
    main()
