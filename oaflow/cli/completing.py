"""
What a shell offers when the tab key is pressed. Fast and silent: where something is wrong, nothing is offered.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from oaflow.operations.completing import Kind


def pipelines(ctx: typer.Context, incomplete: str) -> list[str]:
    """
    Names of pipelines, here and of oaflow's own. Files are completed by the shell.
    """
    from oaflow.operations.programs import known_names

    return _beginning(incomplete, lambda: known_names(Path.cwd()))


def runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """
    Ids of runs, the latest first.
    """
    return _asked(ctx, incomplete, "runs")


def datasets(ctx: typer.Context, incomplete: str) -> list[str]:
    """
    Datasets that runs were started on.
    """
    return _asked(ctx, incomplete, "datasets")


def stages(ctx: typer.Context, incomplete: str) -> list[str]:
    """
    The stages of the run that was typed before, else of the latest.
    """
    return _asked(ctx, incomplete, "stages")


def causes(ctx: typer.Context, incomplete: str) -> list[str]:
    """
    The causes of what failed in the run that was typed before, else in the latest.
    """
    return _asked(ctx, incomplete, "causes")


def schedules(ctx: typer.Context, incomplete: str) -> list[str]:
    """
    Names of schedules.
    """
    return _asked(ctx, incomplete, "schedules")


def webhooks(ctx: typer.Context, incomplete: str) -> list[str]:
    """
    Names of webhooks.
    """
    return _asked(ctx, incomplete, "webhooks")


def limits(ctx: typer.Context, incomplete: str) -> list[str]:
    """
    Tasks with their queues: those that are limited, and those of runs.
    """
    return _asked(ctx, incomplete, "limits")


def _asked(ctx: typer.Context, incomplete: str, kind: "Kind") -> list[str]:
    def ask() -> list[str]:
        from oaflow.cli.options import settings
        from oaflow.operations.completing import names

        run: Any = ctx.params.get("run")
        return names(settings(aloud=False), kind, run if isinstance(run, str) else None)

    return _beginning(incomplete, ask)


def _beginning(incomplete: str, names: Callable[[], Iterable[str]]) -> list[str]:
    try:
        return [name for name in names() if name.startswith(incomplete)]
    except Exception:  # whoever presses a key has asked nothing that an error could answer
        return []
