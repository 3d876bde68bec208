"""
The page that lists all commands.
"""

import typer
from typer.testing import CliRunner

from oaflow.cli.pages import Pages

SENTENCE = (
    "Do something that is told in more words than click has room for, which are a hundred characters, to its end."
)


def test_what_a_command_is_for_is_told_to_its_end():
    app = typer.Typer(cls=Pages, rich_markup_mode=None)
    app.command("long", help=f"{SENTENCE} More.")(lambda: None)
    app.command("short", help="Do it.")(lambda: None)

    shown = " ".join(CliRunner().invoke(app, ["--help"]).output.split())

    assert SENTENCE.removesuffix(".") in shown
    assert "More" not in shown
