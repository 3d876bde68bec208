"""
How long a run would take in several ways: what `oaflow simulate` shows.
"""

from rich.text import Text

from oaflow.cli.output import clean, say_hanging, screen
from oaflow.cli.tables import print_table
from oaflow.operations.simulating import Simulated
from oaflow.quantities import duration


def print_simulated(found: Simulated) -> None:
    """
    A line for each way, and what is taken for granted.
    """
    console = screen()
    what = f"what is left of run {clean(found.run.id)}" if found.rest else f"all of run {clean(found.run.id)}"
    worked = f"; workers spent {duration(found.took)}" + (" so far" if found.rest else "")
    console.print(Text.assemble((what, "bold"), (worked, "dim")))
    console.print()
    rows: list[list[object]] = []
    for variant, forecast in found.variants:
        spread = f"{duration(forecast.low)} to {duration(forecast.high)}"
        full = f"{clean(forecast.busiest)}, {forecast.share:.0%}"
        rows.append([variant.name, duration(forecast.seconds), Text(spread, "dim"), full])
    columns = [("", False), ("takes", True), ("range", False), ("busiest", False)]
    print_table(columns, rows)
    console.print()
    say_hanging(Text(f"this assumes that {clean(found.assumes)}", "dim"))
