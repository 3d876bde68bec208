"""
The commands of who writes a pipeline, through the installed program; none of them asks a database.
"""

from tests.acceptance.conftest import Command


def test_a_graph_says_what_its_stages_are_for(offline: Command) -> None:
    stages = {
        "source": {"description": "Names them all", "next": ["work", "away", "theirs"]},
        "work": {},
        "away": {"task": "no_such_function"},
        "theirs": {"external": True, "queue": "theirs"},
    }
    name = offline.pipeline("chain", stages)

    drawn = offline("graph", name, env={"COLUMNS": "50"})
    stood = {stage["name"]: stage["description"] for stage in offline("graph", name, "--json").json["stages"]}

    assert drawn.code == 0, drawn.err
    said = drawn.out.partition("\n\n")[2].splitlines()[-2:]
    assert said == ["source  Names them all", "work    Take some time, and note that it was done."]
    assert stood == {
        "source": "Names them all",  # its own, before the docstring's
        "work": "Take some time, and note that it was done.",
        "away": None,  # not to be imported here, and drawn all the same
        "theirs": None,
    }
    assert 'tooltip="Names them all\\nstages_for_tests.source"' in offline("graph", name, "-f", "dot").out
