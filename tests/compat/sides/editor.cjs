// Drives `oaflow lsp` with the protocol library that VS Code's own client is made of, and prints what it answered.
// node editor.cjs LIBRARY PROGRAM FILE
const { spawn } = require("child_process");
const { readFileSync } = require("fs");
const { dirname } = require("path");
const { pathToFileURL } = require("url");

const [, , library, program, file] = process.argv;
const rpc = require(library);
const server = spawn(program, ["lsp"], { cwd: dirname(file), stdio: ["pipe", "pipe", "inherit"] });
const editor = rpc.createProtocolConnection(
  new rpc.StreamMessageReader(server.stdout),
  new rpc.StreamMessageWriter(server.stdin),
);
const text = readFileSync(file, "utf8");
const uri = pathToFileURL(file).href;
const textDocument = { uri };
const told = [];

// What VS Code says that it can, as far as the server may ask.
const capabilities = {
  general: { positionEncodings: ["utf-16"] },
  textDocument: {
    publishDiagnostics: { relatedInformation: true },
    completion: { completionItem: { snippetSupport: true } },
    codeAction: { codeActionLiteralSupport: { codeActionKind: { valueSet: ["quickfix"] } } },
    rename: { prepareSupport: true },
    hover: { contentFormat: ["markdown"] },
  },
};

// The place behind some text.
function at(part) {
  const lines = text.slice(0, text.indexOf(part) + part.length).split("\n");
  return { line: lines.length - 1, character: lines.at(-1).length };
}

async function main() {
  editor.onNotification(rpc.PublishDiagnosticsNotification.type, (one) => told.push(one.diagnostics));
  editor.listen();
  await editor.sendRequest(rpc.InitializeRequest.type, {
    processId: process.pid,
    rootUri: null,
    workspaceFolders: null,
    clientInfo: { name: "Visual Studio Code" },
    capabilities,
  });
  await editor.sendNotification(rpc.InitializedNotification.type, {});
  const opened = { textDocument: { uri, languageId: "yaml", version: 1, text } };
  await editor.sendNotification(rpc.DidOpenTextDocumentNotification.type, opened);
  // The second time with what was found of the functions.
  while (told.length < 2) await new Promise((again) => setTimeout(again, 20));

  const place = at("next: ");
  const ask = (request, more) => editor.sendRequest(request.type, { textDocument, ...more });
  const found = {
    mistakes: told.at(-1).map((one) => [one.code, one.range.start]),
    offered: (await ask(rpc.CompletionRequest, { position: place })).map((one) => one.label),
    shown: (await ask(rpc.HoverRequest, { position: at("    tas") })).contents.value,
    repairs: await ask(rpc.CodeActionRequest, {
      range: { start: place, end: place },
      context: { diagnostics: told.at(-1) },
    }),
    renamed: await ask(rpc.RenameRequest, { position: at("\n  ind"), newName: "finder" }),
    defined: await ask(rpc.DefinitionRequest, { position: at("task: letters.re") }),
    symbols: await editor.sendRequest("textDocument/documentSymbol", { textDocument }),
  };
  await editor.sendRequest(rpc.ShutdownRequest.type);
  server.on("exit", (code) => console.log(JSON.stringify({ ...found, code })));
  await editor.sendNotification(rpc.ExitNotification.type);
}

main().catch((error) => {
  console.error(error);
  server.kill();
  process.exitCode = 1;
});
