"""
The set-ups of assistants on the page start the server that there is, and the tools on it are those that it has.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from oaflow.assistants.tools import TOOLS
from oaflow.cli.main import app
from tests.docs.samples import blocks

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "ask-from-an-assistant.md").read_text("utf-8")
TEXTS = {block.options["title"]: block.body for block in blocks(PAGE) if "title" in block.options}


@pytest.mark.parametrize(
    ("file", "key"), [("claude_desktop_config.json", "mcpServers"), (".vscode/mcp.json", "servers")]
)
def test_an_assistant_starts_a_command_that_there_is(file: str, key: str):
    server: dict[str, Any] = json.loads(TEXTS[file])[key]["oaflow"]

    assert [Path(server["command"]).name, *server["args"]] == ["oaflow", "mcp"]
    assert "mcp" in {info.callback.__name__ for info in app.registered_commands if info.callback}


def test_the_tools_are_those_of_the_server():
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == [tool.name for tool in TOOLS]
