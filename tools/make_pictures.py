"""
Write docs/pictures/*.svg from what the program really prints: `make pictures`.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
COLUMNS = 110

# Red, green, yellow, blue, magenta, cyan.
_COLOURS = [(224, 108, 117), (126, 190, 116), (229, 192, 123), (97, 155, 235), (198, 120, 221), (86, 182, 194)]

# Readable on a light and on a dark page.
THEME = TerminalTheme(
    (24, 26, 31),
    (220, 223, 228),
    [(24, 26, 31), *_COLOURS, (220, 223, 228)],
    [(110, 118, 129), *_COLOURS, (255, 255, 255)],
)


def printed(arguments: str, home: Path) -> str:
    """
    What a command prints to a terminal, remarks and progress left out.
    """
    keep = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "CI")}
    ran = subprocess.run(
        [sys.executable, "-m", "oaflow", *arguments.split()],
        cwd=ROOT,
        env={**keep, "OAFLOW_HOME": str(home), "FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    # As it is where nobody has set a home.
    return ran.stdout.strip("\n").replace(str(home), "/var/lib/oaflow")


def picture(title: str, shown: list[tuple[str, str]], columns: int) -> str:
    """
    Commands and what they print, as a drawing of a terminal.
    """
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=columns, file=nowhere, force_terminal=True, color_system="truecolor")
        for number, (command, output) in enumerate(shown):
            console.print(Text.assemble("\n" if number else "", ("$ ", "bold green"), (command, "bold")))
            console.print(Text.from_ansi(output))
        svg = console.export_svg(title=title, theme=THEME, unique_id=f"oaflow-{title.split()[-1]}")
    # Fonts are the reader's own: a picture fetches nothing.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return svg.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace")


def main() -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    # Not below a folder of root's: the database's account must be able to enter it.
    with tempfile.TemporaryDirectory(prefix="oaflow-pictures-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        home = Path(folder) / "home"
        home.mkdir(mode=0o711)
        (PICTURES / "graph.svg").write_text(printed("graph ingest -f svg", home) + "\n", encoding="utf-8")
        for name, commands in {
            "run": ["oaflow run ingest -d demo examples/documents"],
            "search": ["oaflow search marmalade -d demo", "oaflow search peregrine -d demo", "oaflow receipt"],
        }.items():
            shown = [(command, printed(command.removeprefix("oaflow "), home)) for command in commands]
            (PICTURES / f"{name}.svg").write_text(picture(f"oaflow {name}", shown, COLUMNS), encoding="utf-8")


if __name__ == "__main__":
    main()
