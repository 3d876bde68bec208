"""
The set-ups of editors on the page start the language server that there is.
"""

import json
import re
import tomllib
from pathlib import Path

import pytest

from oaflow.cli.main import app
from tests.docs.samples import blocks

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "edit-pipelines.md").read_text("utf-8")
TEXTS = {block.options["title"]: block.body for block in blocks(PAGE) if "title" in block.options}
STARTED = ["oaflow", "lsp"]


def test_there_is_such_a_command():
    assert "lsp" in {info.callback.__name__ for info in app.registered_commands if info.callback}


def test_vs_code_starts_it_for_yaml():
    settings = json.loads(TEXTS[".vscode/settings.json"])

    assert [settings["glspc.serverCommand"], *settings["glspc.serverCommandArguments"]] == STARTED
    assert settings["glspc.languageId"] == "yaml"


def test_helix_starts_it_for_yaml():
    languages = tomllib.loads(TEXTS["languages.toml"])
    server = languages["language-server"]["oaflow"]

    assert [server["command"], *server["args"]] == STARTED
    assert [(one["name"], one["language-servers"][-1]) for one in languages["language"]] == [("yaml", "oaflow")]


def test_neovim_starts_it_for_yaml():
    command = re.search(r"cmd = \{(.*?)\}", TEXTS["init.lua"])

    assert command is not None
    assert re.findall(r'"(.*?)"', command[1]) == STARTED
    assert 'vim.lsp.enable("oaflow")' in TEXTS["init.lua"]
    assert 'filetypes = { "yaml" }' in TEXTS["init.lua"]


@pytest.mark.parametrize(("file", "server"), [("yaml.lua", "yamlls"), ("init.lua", "oaflow")])
def test_what_neovim_configures_is_what_it_enables(file: str, server: str):
    lua = TEXTS[file]

    assert re.findall(r'vim\.lsp\.(config|enable)\("(\w+)"', lua) == [("config", server), ("enable", server)]
    assert [lua.count(mark) for mark in "({"] == [lua.count(mark) for mark in ")}"]


def test_neovim_starts_the_server_of_the_schema():
    assert 'cmd = { "yaml-language-server", "--stdio" }, filetypes = { "yaml" }' in TEXTS["yaml.lua"]


def test_the_first_line_of_a_pipeline_names_the_schema_that_is_written():
    assert TEXTS["letters.yml"].startswith("# yaml-language-server: $schema=oaflow.schema.json\n")
    assert "$ oaflow schema -o oaflow.schema.json\n" in PAGE
