"""
What one predicate costs, in several languages for such: compared with a text, and looked for in a list, on entities of
40 properties.

The others are in an environment of their own, from the lock in `benchmarks/peers`.
"""

import subprocess
import sys
from functools import partial

from benchmarks.field import ENVIRONMENTS
from benchmarks.ground import ROOT
from benchmarks.harness import Figure, Report, Size, Target, interleaved, ratios
from benchmarks.peers.expressions import PROPERTIES

SECONDS: dict[Size, float] = {"tiny": 0.1, "small": 1.0, "full": 3.0}
MOST = 1_000.0  # nanoseconds

OURS = {"oaflow": "oaflow", "Python, written by hand": "python"}
PEERS = {
    "CEL (common-expression-language, in Rust)": "common_expression_language",
    "CEL (cel-expr-python, in C++)": "cel_expr_python",
    "CEL (cel-python)": "cel_python",
    "JMESPath": "jmespath",
    "simpleeval": "simpleeval",
}


def measure(size: Size, rounds: int) -> Report:
    """
    Nanoseconds of each, and how many times as long the others take as oaflow in the same round.
    """
    python = str(ENVIRONMENTS.make("expressions") / "bin" / "python")
    variants = {title: partial(_nanoseconds, sys.executable, name, SECONDS[size]) for title, name in OURS.items()}
    variants |= {title: partial(_nanoseconds, python, name, SECONDS[size]) for title, name in PEERS.items()}
    found = {title: tuple(figures) for title, figures in interleaved(variants, rounds).items()}
    limits = {"oaflow": Target("at most", MOST)}
    figures = [Figure(title, "ns", times, limits.get(title)) for title, times in found.items()]
    figures += [Figure(f"{title}, to oaflow", "times", ratios(found[title], found["oaflow"])) for title in PEERS]
    return Report(
        "expressions",
        f"a predicate with two comparisons, on entities of {PROPERTIES} properties",
        tuple(figures),
        ("Each is read once. What a language makes of an entity before it can look at it is part of its time.",),
    )


def _nanoseconds(python: str, name: str, seconds: float) -> float:
    command = [python, "-m", "benchmarks.peers.expressions", name, str(seconds)]
    spent, held = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    if held != "250":
        raise RuntimeError(f"{name} held for {held} of the entities, and not for 250")
    return float(spent)
