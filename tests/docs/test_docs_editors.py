"""
The set-ups of editors on the page start the language server that there is. Emacs, Vim and Neovim are started with
theirs where they are installed.
"""

import json
import os
import re
import shutil
import subprocess
import sys
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

    # VS Code may have its PATH from a login shell, which does not know the environment.
    assert settings["glspc.serverCommand"] == ".venv/bin/" + STARTED[0]
    assert settings["glspc.serverCommandArguments"] == STARTED[1:]
    assert settings["glspc.languageId"] == "yaml"


def test_kate_starts_it_for_yaml():
    servers = json.loads(TEXTS["settings.json"])["servers"]

    assert [(name, server["command"]) for name, server in servers.items()] == [("yaml", STARTED)]


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


MISTAKEN = """\
pipeline: letters
stages:
  read:
    task: oaflow.stages.crawl
    next: indx
  index: {task: oaflow.stages.index}
"""

EMACS = """\
(package-initialize)
(unless (and (require 'eglot nil t) (require 'yaml-mode nil t)) (kill-emacs 77))
(load (expand-file-name "init.el"))
(find-file "letters.yml")
(let ((left 300))
  (while (and (null (flymake-diagnostics)) (> left 0))
    (run-hooks 'post-command-hook)
    (accept-process-output nil 0.2)
    (setq left (1- left))))
(with-temp-file "found"
  (dolist (one (with-current-buffer "letters.yml" (flymake-diagnostics)))
    (insert (format "%d: %s" (with-current-buffer "letters.yml" (line-number-at-pos (flymake-diagnostic-beg one)))
                    (flymake-diagnostic-text one)))))
"""

VIM = """\
set nocompatible
filetype plugin on
silent! packadd ale
if !exists('*ale#linter#Define') && empty(globpath(&runtimepath, 'autoload/ale/linter.vim'))
  cquit 77
endif
source vimrc
edit letters.yml
let left = 300
while empty(ale#engine#GetLoclist(bufnr(''))) && left > 0
  sleep 200m
  let left -= 1
endwhile
call writefile(map(copy(ale#engine#GetLoclist(bufnr(''))), 'v:val.lnum . ": " . v:val.text'), 'found')
qall!
"""

NEOVIM = """\
if vim.fn.has("nvim-0.11") == 0 then vim.cmd("cquit 77") end
dofile("init.lua")
vim.cmd("filetype on")
vim.cmd("edit letters.yml")
vim.wait(60000, function() return #vim.diagnostic.get(0) > 0 end, 200)
local found = vim.tbl_map(function(one)
  return (one.lnum + 1) .. ": " .. vim.split(one.message, "\\n")[1]
end, vim.diagnostic.get(0))
vim.fn.writefile(found, "found")
vim.cmd("qall!")
"""

# By program: its set-up on the page, what else it is told, and how it is started. It ends with 77 where what the set-up
# needs is not installed.
EDITORS = {
    "emacs": ("init.el", EMACS, ["--batch", "-q", "-l", "ask"]),
    "vim": ("vimrc", VIM, ["-u", "ask", "-es"]),
    "nvim": ("init.lua", NEOVIM, ["--headless", "-u", "ask.lua"]),
}


@pytest.mark.parametrize("editor", EDITORS)
def test_an_editor_with_its_set_up_shows_a_mistake_at_its_line(editor: str, tmp_path: Path):
    program = shutil.which(editor)
    if program is None:
        pytest.skip(f"there is no {editor} here")
    setup, script, arguments = EDITORS[editor]
    (tmp_path / setup).write_text(TEXTS[setup])
    (tmp_path / "letters.yml").write_text(MISTAKEN)
    (tmp_path / ("ask.lua" if editor == "nvim" else "ask")).write_text(script)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

    done = subprocess.run(
        [program, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip(f"{editor} is too old, or has not the plugin that the page names")

    assert (tmp_path / "found").read_text().startswith("5: "), done.stderr
    assert "no stage is named 'indx'" in (tmp_path / "found").read_text()
