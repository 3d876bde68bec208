"""
What is said to who types a command of another program.
"""

from typer.main import get_command
from typer.testing import CliRunner

from oaflow.cli.main import app
from oaflow.cli.mistyped import _OF_OTHERS


def test_what_is_typed_in_place_of_a_command_of_others_is_there_and_its_own_name_is_not():
    ours = set(get_command(app).commands)

    assert ours.isdisjoint(_OF_OTHERS)
    for typed in _OF_OTHERS.values():
        for said in typed.split(", or "):
            words = [word for word in said.split()[1:] if word.islower()]
            assert CliRunner().invoke(app, [*words[: 2 if words[0] == "db" else 1], "--help"]).exit_code == 0
