"""
Write docs/reference/rules.md from the rules of the compiler: `python tools/make_rules.py`.
"""

from pathlib import Path

from oaflow.compiler.explaining import reference_page

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "rules.md"

if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(reference_page(), encoding="utf-8")
