"""
What `make demo` shows, once the environment is there.
"""

import re
import subprocess
from pathlib import Path

import pytest

from oaflow.stages import ocr
from tests.acceptance.conftest import PATIENCE, ROOT

# By word, where it is found. The first is in a scanned page only.
HITS = {
    "marmalade": "documents/money/invoice_0119_scan.pdf",
    "sextant": "documents/mail/2024-02-03_agreement.eml › agreement.docx",
    "peregrine": "documents/archives/evidence.zip › laptop/old_laptop.zip › desktop/notes.txt",
}


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".venv" / "bin" / "oaflow").exists(), reason="no .venv here: make demo would make it")
def test_the_demo_ends_with_a_summary_three_searches_and_three_commands(
    home: Path, tmp_path: Path, clean_environment: dict[str, str]
) -> None:
    environment = {key: value for key, value in clean_environment.items() if key != "PYTHONPATH"}
    environment |= {"HOME": str(tmp_path), "OAFLOW_HOME": str(home)}

    shown = subprocess.run(
        [ROOT / "scripts" / "demo"], env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )

    assert shown.returncode == 0, shown.stderr
    summary, _, rest = shown.stdout.partition("\n\nin a page that was only a scan: ")
    assert "73 documents: 73 indexed (3 of them unreadable)  ✓ balanced" in summary
    steps = [line.strip() for line in summary.partition("\nnext:\n")[2].splitlines()]
    assert [step.split()[:2] for step in steps] == [
        [".venv/bin/oaflow", step] for step in ("search", "entities", "receipt")
    ]
    searches, _, following = rest.partition("\n\nnext:\n")
    following, _, path = following.partition("\n\nto type oaflow without its folder: ")
    found = dict(re.findall(r"\.venv/bin/oaflow search (\w+) -d demo\n(.+?)  ", searches))
    assert found == {word: place for word, place in HITS.items() if ocr.tessdata() or word != "marmalade"}
    commands = [line.split("   ")[0].strip() for line in following.splitlines()]
    assert [command.split()[1] for command in commands] == ["receipt", "graph", "run"]
    assert all(command.startswith(".venv/bin/oaflow ") for command in commands)
    assert all(len(line) <= 80 for line in shown.stdout.splitlines() if line.startswith(("in a", "  .venv")))
    # What the run and the searches name is `oaflow` alone.
    alone = subprocess.run(
        ["sh", "-c", f"{path.strip()} && command -v oaflow"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert alone.stdout.strip() == str(ROOT / ".venv/bin/oaflow"), alone.stderr
