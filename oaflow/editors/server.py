"""
The language server: what an editor asks is handed to the modules beside this one, and what they say is put into the
words of the Language Server Protocol. It thinks of nothing itself.

Functions are looked at when a file is opened or saved, in a child process: never while somebody types.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer

import oaflow
from oaflow.compiler.functions import Inspector, import_folders
from oaflow.compiler.repairs import repairs
from oaflow.diagnostics import Diagnostic, Span
from oaflow.editors.completing import Offer, OfferSort, offers
from oaflow.editors.documents import Document
from oaflow.editors.hovering import shown_at
from oaflow.editors.places import mapping_at
from oaflow.editors.renaming import Ends, declaration, named_at, references, renamed
from oaflow.editors.texts import Units, readable
from oaflow.errors import OaflowError
from oaflow.formatting import FormatError, formatted

# Seconds without a key pressed after which a text is checked.
_PAUSE = 0.15

_KINDS: Mapping[OfferSort, lsp.CompletionItemKind] = {
    "key": lsp.CompletionItemKind.Property,
    "stage": lsp.CompletionItemKind.Class,
    "port": lsp.CompletionItemKind.Event,
    "param": lsp.CompletionItemKind.Variable,
    "property": lsp.CompletionItemKind.Field,
    "schema": lsp.CompletionItemKind.Struct,
    "function": lsp.CompletionItemKind.Function,
    "field": lsp.CompletionItemKind.Field,
    "value": lsp.CompletionItemKind.EnumMember,
}


class Server(LanguageServer):
    """
    The documents that are open in one editor.
    """

    def __init__(self) -> None:
        # Whole texts: pygls splits lines elsewhere than editors do, and a file has 1 MiB at most.
        super().__init__("oaflow", oaflow.__version__, lsp.TextDocumentSyncKind.Full)
        self.open: dict[str, Document] = {}
        # How often the functions of each were looked at: of several looks, the last one counts.
        self.looks: dict[str, int] = {}

    def document(self, uri: str) -> Document:
        """
        A document as it stands in the editor now.
        """
        there = self.workspace.get_text_document(uri)
        source, known = readable(there.source), self.open.get(uri)
        if known is None or known.source != source:
            known = replace(known, source=source) if known is not None else self._new(source, there.path)
            self.open[uri] = known
        return known

    def _new(self, source: str, path: str) -> Document:
        encoding = self.workspace.position_encoding
        units: Units = "utf-32" if encoding == "utf-32" else "utf-8" if encoding == "utf-8" else "utf-16"
        return Document(source, path, units)

    def tell(self, uri: str) -> None:
        """
        Sends what the compiler has to say of a document.
        """
        document = self.document(uri)
        found = document.checked.diagnostics if document.is_pipeline else ()
        shown = [_diagnostic(document, uri, one) for one in found]
        self.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, shown))

    async def look(self, uri: str) -> None:
        """
        Looks at the functions of a document, and tells.
        """
        document = self.document(uri)
        if document.is_pipeline and document.name is not None:
            self.tell(uri)
            look = self.looks[uri] = self.looks.get(uri, 0) + 1
            inspect = Inspector(import_folders(Path(document.name)))
            functions = await asyncio.to_thread(inspect, document.tasks)
            if uri not in self.open or self.looks[uri] != look:
                return  # closed meanwhile, or saved again
            self.open[uri] = replace(self.document(uri), functions=functions)
        self.tell(uri)


def server() -> Server:
    """
    A server that is not yet started.
    """
    made = Server()
    made.feature(lsp.TEXT_DOCUMENT_DID_OPEN)(_look)
    made.feature(lsp.TEXT_DOCUMENT_DID_SAVE)(_look)
    made.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)(_changed)
    made.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)(_closed)
    letters = [".", '"', "'", " ", "{", "[", "$"]
    made.feature(lsp.TEXT_DOCUMENT_COMPLETION, lsp.CompletionOptions(trigger_characters=letters))(_complete)
    made.feature(lsp.TEXT_DOCUMENT_HOVER)(_hover)
    made.feature(lsp.TEXT_DOCUMENT_DEFINITION)(_define)
    made.feature(lsp.TEXT_DOCUMENT_REFERENCES)(_refer)
    made.feature(lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL)(_outline)
    made.feature(lsp.TEXT_DOCUMENT_PREPARE_RENAME)(_prepare_rename)
    made.feature(lsp.TEXT_DOCUMENT_RENAME)(_rename)
    made.feature(lsp.TEXT_DOCUMENT_FORMATTING)(_format)
    made.feature(lsp.TEXT_DOCUMENT_CODE_ACTION)(_mend)
    return made


# --- what happens to documents ---


async def _look(editor: Server, params: lsp.DidOpenTextDocumentParams | lsp.DidSaveTextDocumentParams) -> None:
    await editor.look(params.text_document.uri)


async def _changed(editor: Server, params: lsp.DidChangeTextDocumentParams) -> None:
    uri = params.text_document.uri
    before = editor.document(uri)
    await asyncio.sleep(_PAUSE)
    # Who types on is checked later.
    if uri in editor.open and editor.document(uri).source == before.source:
        editor.tell(uri)


def _closed(editor: Server, params: lsp.DidCloseTextDocumentParams) -> None:
    editor.open.pop(params.text_document.uri, None)
    editor.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(params.text_document.uri, []))


# --- what an editor asks ---


def _complete(editor: Server, params: lsp.CompletionParams) -> list[lsp.CompletionItem]:
    document, offset = _at(editor, params.text_document, params.position)
    found = offers(document, offset) if document.is_pipeline else []
    return [_item(document, offset, one, number) for number, one in enumerate(found)]


def _item(document: Document, offset: int, one: Offer, number: int) -> lsp.CompletionItem:
    return lsp.CompletionItem(
        label=one.name,
        kind=_KINDS[one.sort],
        detail=one.what or None,
        documentation=lsp.MarkupContent(lsp.MarkupKind.Markdown, one.help) if one.help else None,
        text_edit=lsp.TextEdit(_range(document, (offset - one.written, offset)), one.inserted or one.name),
        filter_text=one.name,
        # In the order of the language: editors would go by the alphabet.
        sort_text=f"{number:04}",
    )


def _hover(editor: Server, params: lsp.HoverParams) -> lsp.Hover | None:
    document, offset = _at(editor, params.text_document, params.position)
    found = shown_at(document, offset) if document.is_pipeline else None
    if found is None:
        return None
    return lsp.Hover(lsp.MarkupContent(lsp.MarkupKind.Markdown, found.text), _range(document, found.ends))


def _define(editor: Server, params: lsp.DefinitionParams) -> lsp.Location | None:
    document, offset = _at(editor, params.text_document, params.position)
    found = declaration(document, offset)
    if found is None:
        return None
    if found.file is None:
        return lsp.Location(params.text_document.uri, _range(document, found.ends))
    start = lsp.Position(found.line - 1, 0)
    return lsp.Location(found.file.resolve().as_uri(), lsp.Range(start, start))


def _refer(editor: Server, params: lsp.ReferenceParams) -> list[lsp.Location]:
    document, offset = _at(editor, params.text_document, params.position)
    found = references(document, offset, declared=params.context.include_declaration)
    return [lsp.Location(params.text_document.uri, _range(document, ends)) for ends in found]


def _outline(editor: Server, params: lsp.DocumentSymbolParams) -> list[lsp.DocumentSymbol]:
    """
    The params and stages of a pipeline, each with all that is written of it.
    """
    document = editor.document(params.text_document.uri)
    found: list[lsp.DocumentSymbol] = []
    for named in document.named if document.is_pipeline else ():
        if named.definition:
            name = document.text.ends(named.span)
            whole = (name[0], max(name[1], document.text.ends(document.spans.value(*named.path))[1]))
            is_stage = named.kind == "stage"
            task = mapping_at(document.stages, named.name).get("task") if is_stage else None
            kind = lsp.SymbolKind.Function if is_stage else lsp.SymbolKind.Variable
            detail = task if isinstance(task, str) else None
            ranges = _range(document, whole), _range(document, name)
            found.append(lsp.DocumentSymbol(named.name, kind, *ranges, detail=detail))
    return found


def _prepare_rename(editor: Server, params: lsp.PrepareRenameParams) -> lsp.Range | None:
    document, offset = _at(editor, params.text_document, params.position)
    named = named_at(document, offset)
    return _range(document, document.text.ends(named.span)) if named is not None else None


def _rename(editor: Server, params: lsp.RenameParams) -> lsp.WorkspaceEdit:
    document, offset = _at(editor, params.text_document, params.position)
    try:
        places = renamed(document, offset, params.new_name)
    except OaflowError as error:
        raise JsonRpcInvalidParams(f"{error}: {error.help}" if error.help else str(error)) from error
    edits = [lsp.TextEdit(_range(document, ends), params.new_name) for ends in places]
    return lsp.WorkspaceEdit(changes={params.text_document.uri: edits})


def _format(editor: Server, params: lsp.DocumentFormattingParams) -> list[lsp.TextEdit]:
    document = editor.document(params.text_document.uri)
    if not document.is_pipeline or document.checked.pipeline is None:
        return []
    try:
        after = formatted(document.source)
    except FormatError as error:
        raise JsonRpcInvalidParams(f"line {error.line}: {error}" if error.line else str(error)) from error
    whole = _range(document, (0, len(document.source)))
    return [lsp.TextEdit(whole, after)] if after != document.source else []


def _mend(editor: Server, params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
    """
    What `oaflow check --fix` would do to the lines asked for.
    """
    uri = params.text_document.uri
    document = editor.document(uri)
    first, last = params.range.start.line, params.range.end.line
    found: list[lsp.CodeAction] = []
    for one in repairs(document.source, document.checked, document.spans) if document.is_pipeline else ():
        span = one.diagnostic.span._replace(
            line=one.line, column=one.column, end_line=one.line, end_column=one.end_column
        )
        place = _range(document, document.text.ends(span))
        if first <= place.start.line <= last:
            edit = lsp.WorkspaceEdit(changes={uri: [lsp.TextEdit(place, one.text)]})
            shown = [_diagnostic(document, uri, one.diagnostic)]
            found.append(lsp.CodeAction(f"mend: {one.said}", lsp.CodeActionKind.QuickFix, shown, edit=edit))
    return found


# --- places ---


def _at(editor: Server, document: lsp.TextDocumentIdentifier, at: lsp.Position) -> tuple[Document, int]:
    found = editor.document(document.uri)
    return found, found.text.offset((at.line, at.character))


def _range(document: Document, ends: Ends) -> lsp.Range:
    start, end = (lsp.Position(*document.text.position(offset)) for offset in ends)
    return lsp.Range(start, end)


def _location(document: Document, uri: str, span: Span) -> lsp.Location:
    if span.file is None or span.file == document.name:
        return lsp.Location(uri, _range(document, document.text.ends(span)))
    # Of another file nobody has the text here: columns are letters, as most often they are for editors.
    start, end = lsp.Position(span.line - 1, span.column - 1), lsp.Position(span.end_line - 1, span.end_column - 1)
    return lsp.Location(Path(span.file).absolute().as_uri(), lsp.Range(start, end))


def _diagnostic(document: Document, uri: str, one: Diagnostic) -> lsp.Diagnostic:
    severity = lsp.DiagnosticSeverity.Error if one.is_error else lsp.DiagnosticSeverity.Warning
    # What stands in a function is shown at the stage that has it.
    places = [("it stands here", one.span), *one.notes]
    (_, shown), *others = sorted(places, key=lambda place: place[1].file != document.name)
    notes = [
        lsp.DiagnosticRelatedInformation(_location(document, uri, span), said) for said, span in others if span.line
    ]
    return lsp.Diagnostic(
        _range(document, document.text.ends(shown)),
        f"{one.message}\n{one.help}" if one.help else one.message,
        severity,
        code=one.code,
        source="oaflow",
        related_information=notes or None,
    )
