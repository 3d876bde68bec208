"""
`oaflow lsp`, the installed program, with a client over stdin and stdout.
"""

import asyncio
import os
import sys
from pathlib import Path

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pytest_lsp import client_capabilities, make_test_lsp_client

from oaflow.formatting import formatted

STAGES = '''\
from oaflow import DatasetJob, stage

@stage(ports=("default", "pictures"))
def read(job: DatasetJob, *, depth: int = 1) -> DatasetJob:
    """Read letters."""
    return job

@stage
def index(job: DatasetJob) -> None:
    pass
'''

LETTERS = """\
pipeline: letters
params: {language: {default: eng}}
stages:
  read:
    task: letters.read
    next: {default: [{to: index, where: "has(e.language, 'Ünïcöde 😀', params.language)"}], pictures: drop}
  index: {task: letters.index}
tests:
  - {at: read, job: {entities: [{schema: Email}]}, expect: {}}
"""

# What is sent beside the file: an editor hands over every YAML file.
OTHER = "services:\n  web: {image: x, image: y}\n"


class Editor:
    """
    An editor with one folder.

    Args:
        encoding: what it counts in a line.
        search: where the server's Python looks for modules first.
    """

    def __init__(self, folder: Path, encoding: str, search: Path | None = None) -> None:
        self.folder, self.encoding, self.search = folder, encoding, search
        self.client = make_test_lsp_client()
        self.uri = (folder / "letters.yml").as_uri()
        self.version = 1

    async def __aenter__(self):
        (self.folder / "letters.py").write_text(STAGES)
        (self.folder / "letters.yml").write_text(LETTERS)
        program = str(Path(sys.executable).parent / "oaflow")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("OAFLOW_")}
        if self.search is not None:
            environment["PYTHONPATH"] = str(self.search)
        await self.client.start_io(program, "lsp", env=environment)
        capabilities = client_capabilities("visual_studio_code")
        assert capabilities.general is not None
        capabilities.general.position_encodings = [self.encoding]
        await self.client.initialize_session(
            types.InitializeParams(capabilities=capabilities, root_uri=self.folder.as_uri())
        )
        return self

    async def __aexit__(self, *_):
        await self.client.shutdown_session()

    def open(self, text: str, name: str = "letters.yml") -> str:
        uri = (self.folder / name).as_uri()
        document = types.TextDocumentItem(uri=uri, language_id="yaml", version=1, text=text)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(document))
        return uri

    def type(self, text: str) -> None:
        self.version += 1
        self.client.text_document_did_change(
            types.DidChangeTextDocumentParams(
                types.VersionedTextDocumentIdentifier(self.version, self.uri),
                [types.TextDocumentContentChangeWholeDocument(text)],
            )
        )

    def save(self) -> None:
        self.client.text_document_did_save(types.DidSaveTextDocumentParams(types.TextDocumentIdentifier(self.uri)))

    async def told(self, *codes: str, uri: str | None = None) -> list[types.Diagnostic]:
        """
        Waits until these mistakes, and no other, are what was told last.
        """
        found: list[types.Diagnostic] | None = None
        async with asyncio.timeout(60):
            while found is None or [one.code for one in found] != list(codes):
                await asyncio.sleep(0.02)
                found = self.client.diagnostics.get(uri or self.uri)
        return list(found)

    def at(self, text: str, before: str) -> types.Position:
        """
        The place behind some text, counted as this editor counts.
        """
        head = text[: text.index(before) + len(before)]
        line = head.rpartition("\n")[2]
        units = {"utf-8": len(line.encode()), "utf-16": len(line.encode("utf-16-le")) // 2, "utf-32": len(line)}
        return types.Position(head.count("\n"), units[self.encoding])

    def asked(self, text: str, before: str):
        return {"text_document": types.TextDocumentIdentifier(self.uri), "position": self.at(text, before)}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_an_editor_is_told_shown_and_led(tmp_path: Path, encoding: str):
    async def ask():
        async with Editor(tmp_path, encoding) as editor:
            client = editor.client
            # Opened: the functions are looked at.
            editor.open(LETTERS)
            assert await editor.told() == []

            # Typed: told at its place, with what was found of the functions before.
            wrong = LETTERS.replace("params.language)", "params.langage)").replace(", pictures: drop", "")
            editor.type(wrong)
            (one,) = await editor.told("OAF202")
            assert one.message == "no param is named 'langage'\ndid you mean 'language'?"
            assert one.range.start == editor.at(wrong, "params.")
            assert one.range.end == editor.at(wrong, "params.langage")
            editor.type(LETTERS.replace(", pictures: drop", ""))
            (one,) = await editor.told("OAF407")
            assert "pictures" in one.message

            # Mended, as `check --fix` would.
            actions = await client.text_document_code_action_async(
                types.CodeActionParams(
                    types.TextDocumentIdentifier(editor.uri), one.range, types.CodeActionContext([one])
                )
            )
            (action,) = actions or ()
            assert action.title == "mend: what is emitted on 'pictures' is dropped"

            # Half typed: completed, hovered, and nothing ends.
            half = LETTERS.replace('params.language)"}], pictures: drop}', "params.")
            editor.type(half)
            offered = await client.text_document_completion_async(
                types.CompletionParams(**editor.asked(half, "params."))
            )
            assert [item.label for item in offered] == ["language"]
            assert offered[0].text_edit.range.start == editor.at(half, "params.")

            keys = LETTERS.replace("letters.index}", "letters.index, }")
            editor.type(keys)
            offered = await client.text_document_completion_async(
                types.CompletionParams(**editor.asked(keys, "letters.index, "))
            )
            ordered = sorted(offered, key=lambda item: item.sort_text)
            assert [item.label for item in ordered][:3] == ["queue", "next", "choose"]

            with_options = LETTERS.replace("letters.read\n", "letters.read\n    with: {d\n")
            editor.type(with_options)
            offered = await client.text_document_completion_async(
                types.CompletionParams(**editor.asked(with_options, "with: {d"))
            )
            assert [item.label for item in offered] == ["depth"]

            editor.type(LETTERS)
            await editor.told()
            hovered = await client.text_document_hover_async(types.HoverParams(**editor.asked(LETTERS, "{to: ind")))
            assert hovered.contents.value.startswith("`read` → `index`: all that it returns, where `has(e.language")

            # Led to the stage, and to its function.
            stage = await client.text_document_definition_async(
                types.DefinitionParams(**editor.asked(LETTERS, "{to: ind"))
            )
            assert (stage.uri, stage.range.start) == (editor.uri, editor.at(LETTERS, "drop}\n  "))
            function = await client.text_document_definition_async(
                types.DefinitionParams(**editor.asked(LETTERS, "letters.re"))
            )
            assert function.uri == (tmp_path / "letters.py").as_uri()
            assert STAGES.splitlines()[function.range.start.line + 1].startswith("def read")

            # Renamed everywhere, or refused with the reason.
            edit = await client.text_document_rename_async(
                types.RenameParams(**editor.asked(LETTERS, "at: re"), new_name="open")
            )
            assert len(edit.changes[editor.uri]) == 2
            with pytest.raises(JsonRpcException, match="there is a stage 'index' already"):
                await client.text_document_rename_async(
                    types.RenameParams(**editor.asked(LETTERS, "at: re"), new_name="index")
                )
            found = await client.text_document_references_async(
                types.ReferenceParams(**editor.asked(LETTERS, "{to: ind"), context=types.ReferenceContext(True))
            )
            assert len(found) == 2

            outline = await client.text_document_document_symbol_async(
                types.DocumentSymbolParams(types.TextDocumentIdentifier(editor.uri))
            )
            assert [(one.name, one.detail) for one in outline] == [
                ("language", None), ("read", "letters.read"), ("index", "letters.index"),
            ]  # fmt: skip
            lines = LETTERS.splitlines()
            for one in outline:
                name, whole = one.selection_range, one.range
                assert lines[name.start.line][name.start.character : name.end.character] == one.name
                assert (whole.start, whole.end >= name.end) == (name.start, True)

            # Written in one way.
            loose = LETTERS.replace("params: {language", "params:   {language")
            editor.type(loose)
            edits = await client.text_document_formatting_async(
                types.DocumentFormattingParams(
                    types.TextDocumentIdentifier(editor.uri), types.FormattingOptions(2, True)
                )
            )
            assert [edit.new_text for edit in edits or ()] == [formatted(loose)]

            # Saved: the functions are looked at anew.
            (tmp_path / "letters.py").write_text(STAGES.replace("depth", "height"))
            editor.save()
            editor.type(LETTERS.replace("letters.read\n", "letters.read\n    with: {depth: 2}\n"))
            await editor.told("OAF405")

            # What is wrong in a function is shown at its stage, and leads there.
            out = STAGES.replace("import DatasetJob", "import DatasetJob, Out").replace(
                "return job", 'return Out("pics", job)'
            )
            (tmp_path / "letters.py").write_text(out)
            editor.type(LETTERS)
            editor.save()
            (one,) = await editor.told("OAF419")
            assert (one.range.start.line, one.severity) == (4, types.DiagnosticSeverity.Warning)
            (there,) = one.related_information or ()
            assert there.location.uri == (tmp_path / "letters.py").as_uri()
            assert there.location.range == types.Range(types.Position(5, 15), types.Position(5, 21))

            # What is no pipeline is left alone.
            other = editor.open(OTHER, "compose.yml")
            await editor.told(uri=other)

            # Closed: nothing is told of it any more.
            client.text_document_did_close(types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(editor.uri)))
            await editor.told()

    asyncio.run(ask())


def test_whatever_is_typed_each_question_has_an_answer(tmp_path: Path):
    async def ask():
        async with Editor(tmp_path, "utf-16") as editor:
            editor.open("")
            for end in range(0, len(LETTERS), 23):
                editor.type(LETTERS[:end])
                asked = {
                    "text_document": types.TextDocumentIdentifier(editor.uri),
                    "position": editor.at(LETTERS[:end], LETTERS[:end]),
                }
                await editor.client.text_document_completion_async(types.CompletionParams(**asked))
                await editor.client.text_document_hover_async(types.HoverParams(**asked))
                await editor.client.text_document_definition_async(types.DefinitionParams(**asked))
            editor.type(LETTERS)
            await editor.told()

    asyncio.run(ask())


def test_modules_are_not_imported_while_somebody_types(tmp_path: Path):
    async def ask():
        async with Editor(tmp_path, "utf-16") as editor:
            loud, second = tmp_path / "loud", tmp_path / "second"
            for mark in (loud, second):
                mark.with_suffix(".py").write_text(f"open({str(mark)!r}, 'a').write('x')\n" + STAGES)
            editor.open(LETTERS)
            await editor.told()
            editor.type(LETTERS.replace("letters.index", "loud.index").replace("to: index", "to: nowhere"))
            await editor.told("OAF201")
            editor.type(LETTERS.replace("letters.index", "loud.index"))
            await editor.told()

            # What is looked at later has been imported, and that is not.
            editor.open(LETTERS.replace("letters.index", "second.index"), "second.yml")
            await _is_there(second)
            assert not loud.exists()
            editor.save()
            await _is_there(loud)

    asyncio.run(ask())


BROKEN = """\
import oaflow.compiler.checking

oaflow.compiler.checking.check_names = lambda *_: {}["read"]
"""


def test_where_the_checks_fail_that_is_told_as_a_mistake_and_all_else_is_answered(tmp_path: Path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sitecustomize.py").write_text(BROKEN)

    async def ask():
        async with Editor(tmp_path, "utf-16", tmp_path / "broken") as editor:
            editor.open(LETTERS)
            (told,) = await editor.told("OAF901")
            assert told.message.startswith("oaflow itself failed at this pipeline: KeyError: 'read'\n")
            assert "--debug" in told.message
            assert told.range.start == types.Position(0, 0)

            shown = await editor.client.text_document_hover_async(types.HoverParams(**editor.asked(LETTERS, "next")))
            assert shown is not None
            asked = types.DocumentFormattingParams(
                types.TextDocumentIdentifier(editor.uri), types.FormattingOptions(tab_size=2, insert_spaces=True)
            )
            assert not await editor.client.text_document_formatting_async(asked)

            editor.type(LETTERS + "stages: {}\n")
            await editor.told("OAF010")
            editor.type(LETTERS)
            await editor.told("OAF901")

    asyncio.run(ask())


async def _is_there(file: Path) -> None:
    async with asyncio.timeout(60):
        while not file.exists():
            await asyncio.sleep(0.02)
