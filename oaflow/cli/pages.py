"""
Commands with their help pages as plain text: commands by panel, arguments by the name they are shown with.

Typer's own pages with rich import a Markdown parser and a highlighter: 0.17 s, more than all the rest together.
"""

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


def add_command(
    app: typer.Typer, name: str, command: Callable[..., int], example: str, panel: str | None = None
) -> None:
    """
    Adds a command.

    Args:
        panel: below which it is listed.
    """
    app.command(name, cls=Page, rich_help_panel=panel, epilog=f"Example: {example}")(command)


def group(help: str, example: str) -> typer.Typer:
    """
    A group of commands, to which they are added.
    """
    return typer.Typer(help=help, no_args_is_help=True, rich_markup_mode=None, cls=Pages, epilog=f"Example: {example}")


class Page(TyperCommand):
    """
    A command whose help page shows each argument by its metavar alone.
    """

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        shown = [_shown(param) for param in self.get_params(ctx) if _is_argument(param)]
        formatter.write_usage(ctx.command_path, " ".join(["[OPTIONS]", *shown]))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        params = self.get_params(ctx)
        arguments = [(_shown(param), getattr(param, "help", "") or "") for param in params if _is_argument(param)]
        options = [param.get_help_record(ctx) for param in params if not _is_argument(param)]
        for title, rows in (("Arguments", arguments), ("Options", [row for row in options if row is not None])):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


# Typer's own words know of the current shell only.
_COMPLETION = {
    "install_completion": "Install completion for this shell, or for the one named after the option.",
    "show_completion": "Print the completion script for this shell, or for the one named after the option.",
}


class Pages(TyperGroup):
    """
    A group whose help page lists its commands under the panels that they name, in the order they were added in.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        params: list[Any] = super().get_params(ctx)
        for param in params:
            if param.name in _COMPLETION:
                param.help = _COMPLETION[param.name]
        return params

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        panels: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            panel = getattr(command, "rich_help_panel", None)
            rows = panels.setdefault(panel if isinstance(panel, str) else "Commands", [])
            # Whole sentences: click ends what is longer than the limit with dots.
            rows.append((name, command.get_short_help_str(limit=1000)))
        for panel, rows in panels.items():
            with formatter.section(panel):
                formatter.write_dl(rows)


def _is_argument(param: Any) -> bool:
    return param.param_type_name == "argument"


def _shown(param: Any) -> str:
    return str(param.metavar) if param.required else f"[{param.metavar}]"
