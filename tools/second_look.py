"""
Ask a test that failed among others three times more, alone: `python tools/second_look.py`, after a run of the tests.

Of five thousand tests that start processes on two cores, one is now and then red for the sake of the machine. Nothing
is hidden: what failed is named, a test that fails once in the three is red, and so are more than three tests.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FAILED = ROOT / ".pytest_cache" / "v" / "cache" / "lastfailed"
MOST, TIMES = 3, 3


def failed() -> list[str]:
    """
    The tests that the last run left red; a file that could not be collected is one.
    """
    try:
        return sorted(json.loads(FAILED.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return []


def main() -> int:
    """
    Returns:
        0 if there are few and each of them passes each time, else 1.
    """
    tests = failed()
    if not 0 < len(tests) <= MOST:
        print(f"{len(tests)} tests are red: no second look at none, or at more than {MOST}.", flush=True)
        return 1
    print(f"A second look, {TIMES} times alone, at what failed among others:", *tests, sep="\n  ", flush=True)
    alone = [sys.executable, "-m", "pytest", "-p", "no:xdist", "-p", "no:cacheprovider", *tests]
    for _ in range(TIMES):
        if subprocess.run(alone, cwd=ROOT, check=False).returncode != 0:
            return 1
    print("Each passed alone. To be mended all the same:", *tests, sep="\n  ", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
