"""
The schema of pipeline files in the real language server for YAML, as editors talk to it.
"""

import asyncio
import json
import runpy
import shutil
from pathlib import Path

import pytest
from lsprotocol import types
from pytest_lsp import client_capabilities, make_test_lsp_client

from oaflow.compiler.shape import parse_pipeline
from oaflow.diagnostics import errors
from oaflow.editors.schema import pipeline_schema
from oaflow.loader import load

ROOT = Path(__file__).parents[2]
PROGRAM = runpy.run_path(str(Path(__file__).parent / "environment.py"))["MODULES"].program(
    "yamls", "yaml-language-server"
)
SHAPE = sorted((ROOT / "tests" / "diagnostics").glob("OAF1*"))
GOOD = [
    ROOT / "pipelines" / "ingest.yml",
    *sorted(ROOT.glob("examples/**/*.yml")),
    *sorted(ROOT.glob("tests/unit/golden/**/*.yml")),
]

# What the schema cannot know; docs/how-to/edit-pipelines.md says so, too.
CANNOT = {
    "OAF119": "a warning: a schema knows mistakes only",
}

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here"),
    pytest.mark.skipif(PROGRAM is None, reason="the language server for YAML was not installed: make compat-env"),
]

TYPED = """\
pipeline: letters
stages:
  read:
    task: letters.read
    timeout: 30m
    next:
      - to: index
        where:
          lang
    |
  index:
    task: letters.index
    emit: |
    collect:
      size: 5
      wa
"""


class Editor:
    """
    A client of one server in a folder of its own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.client = make_test_lsp_client()

    async def __aenter__(self):
        (self.folder / "oaflow.schema.json").write_text(json.dumps(pipeline_schema()))
        self.client.set_configuration({"yaml": {"schemaStore": {"enable": False}, "validate": True}})
        # The server opens nothing and asks nobody: the schema is a file.
        await self.client.start_io("node", str(PROGRAM), "--stdio")
        await self.client.initialize_session(
            types.InitializeParams(
                capabilities=client_capabilities("visual_studio_code"),
                root_uri=self.folder.as_uri(),
                workspace_folders=[types.WorkspaceFolder(self.folder.as_uri(), "here")],
            )
        )
        self.client.workspace_did_change_configuration(types.DidChangeConfigurationParams(settings={}))
        return self

    async def __aexit__(self, *_):
        await self.client.shutdown_session()

    def open(self, name: str, text: str) -> str:
        """
        Opens a file behind the comment that names its schema, as authors write it.
        """
        uri = (self.folder / name).as_uri()
        line = "# yaml-language-server: $schema=oaflow.schema.json\n"
        document = types.TextDocumentItem(uri=uri, language_id="yaml", version=1, text=line + text)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(document))
        return uri

    async def mistakes(self, uri: str) -> list[types.Diagnostic]:
        async with asyncio.timeout(60):
            while uri not in self.client.diagnostics:
                await asyncio.sleep(0.05)
        return sorted(self.client.diagnostics[uri], key=lambda one: one.range.start.line)

    async def offered(self, uri: str, line: int, column: int) -> list[str]:
        place = types.Position(line, column)
        params = types.CompletionParams(types.TextDocumentIdentifier(uri), place)
        found = await self.client.text_document_completion_async(params)
        return [item.label for item in getattr(found, "items", found or [])]

    async def shown(self, uri: str, line: int, column: int) -> str:
        params = types.HoverParams(types.TextDocumentIdentifier(uri), types.Position(line, column))
        found = await self.client.text_document_hover_async(params)
        return "" if found is None else found.contents.value


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """
    What the server says of all files: by path, the line (as in the file) and text of each mistake.
    """

    async def ask():
        async with Editor(tmp_path_factory.mktemp("editor")) as editor:
            files = [folder / "pipeline.yml" for folder in SHAPE] + GOOD
            uris = {file: editor.open(f"{number}.yml", file.read_text()) for number, file in enumerate(files)}
            found = {file: await editor.mistakes(uri) for file, uri in uris.items()}
            # The line of the comment is not counted.
            return {file: [(one.range.start.line, one.message) for one in ones] for file, ones in found.items()}

    return asyncio.run(ask())


@pytest.mark.parametrize("folder", SHAPE, ids=lambda folder: folder.name)
def test_a_mistake_of_the_shape_is_told_once_and_at_its_line(folder: Path, told):
    loaded = load(folder / "pipeline.yml")
    expected = (
        [] if loaded.data is None else [one.span.line for one in errors(parse_pipeline(loaded.data, loaded.spans)[1])]
    )
    found = told[folder / "pipeline.yml"]

    if folder.name[:6] in CANNOT and found == []:
        return
    assert [line for line, _ in found] == expected, found


def test_a_key_that_is_not_there_is_named_also_where_a_text_may_stand(told):
    said = [message for _, message in told[SHAPE[0].parent / "OAF101-unknown-key-and-more" / "pipeline.yml"]]

    assert "Property wen is not allowed." in said


def test_what_it_is_said_not_to_catch_it_does_not_catch(told):
    uncaught = {folder.name[:6] for folder in SHAPE if told[folder / "pipeline.yml"] == []}
    page = (ROOT / "docs" / "how-to" / "edit-pipelines.md").read_text("utf-8")

    assert uncaught == set(CANNOT)
    assert [code for code in CANNOT if code not in page] == []


@pytest.mark.parametrize("file", GOOD, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_pipeline_without_mistakes_has_none_here(file: Path, told):
    assert told[file] == []


def test_keys_and_values_are_completed_and_explained(tmp_path: Path):
    async def ask():
        async with Editor(tmp_path) as editor:
            lines = TYPED.splitlines()
            uri = editor.open("typed.yml", TYPED.replace("|", ""))

            def at(text, behind):
                line = next(number for number, one in enumerate(lines) if text in one)
                return uri, line + 1, lines[line].index(text) + behind

            return {
                "stage": await editor.offered(*at("    |", 4)),
                "emit": await editor.offered(*at("emit: |", 6)),
                "collect": await editor.offered(*at("      wa", 8)),
                "where": await editor.offered(*at("  lang", 6)),
                "timeout": await editor.shown(*at("timeout", 2)),
                "next": await editor.shown(*at("next", 2)),
                "size": await editor.shown(*at("size", 2)),
                "stages": await editor.shown(*at("stages", 2)),
            }

    found = asyncio.run(ask())

    assert {"queue", "retry", "memory", "join", "on_error"} <= set(found["stage"])
    assert not {"timeout", "task", "to", "stages"} & set(found["stage"])
    assert found["emit"] == ["success", "stream", "always"]
    assert found["collect"] == ["wait"]
    assert "language" in found["where"]
    assert "How long an attempt may take: `500ms`, `30m`, `1h30m`." in found["timeout"]
    assert "Where the output goes" in found["next"]
    assert "The largest number of entities in a collected job" in found["size"]
    assert "A mapping from names to stages" in found["stages"]
