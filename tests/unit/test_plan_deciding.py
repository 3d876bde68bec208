"""
What of a plan decides what becomes of a document.
"""

from oaflow.plan import Plan, PlannedEdge, PlannedParam, PlannedStage, bind
from oaflow.plan.deciding import changed, deciding, difference


def test_a_param_that_only_a_condition_asks_for_decides_at_its_stage():
    edges = (PlannedEdge(to="index", when="params.wanted"), PlannedEdge(to="quick", rest=True))
    plan = Plan(
        pipeline="p",
        start=("crawl",),
        params={"wanted": PlannedParam(type="bool", default=True), "other": PlannedParam(type="bool", default=True)},
        stages={
            "crawl": PlannedStage(task="t.crawl", queue="q", edges=edges),
            "index": PlannedStage(task="t.index", queue="q"),
            "quick": PlannedStage(task="t.quick", queue="q"),
        },
    )

    def decided(**values: bool) -> dict[str, str]:
        return deciding(bind(plan, {"wanted": True, "other": True, **values}))

    assert decided() == decided(other=False)
    assert changed(decided(), decided(wanted=False)) == {"crawl"}
    assert difference(decided(), decided(wanted=False)) == "pipeline: crawl changed"


def test_the_order_of_ports_and_values_in_a_file_decides_nothing():
    edges = (
        PlannedEdge(to="index", where={"schema": ("Email", "Document")}),
        PlannedEdge(to="crawl", port="children", recurse=2),
    )

    def decided(*edges: PlannedEdge, dropped: tuple[str, ...]) -> dict[str, str]:
        stages = {
            "crawl": PlannedStage(task="t.crawl", queue="q", edges=edges, dropped=dropped),
            "index": PlannedStage(task="t.index", queue="q"),
        }
        plan = Plan(pipeline="p", start=("crawl",), stages=stages)
        assert deciding(bind(plan, {})) == deciding(bind(Plan.read(plan.canonical()), {}))
        return deciding(bind(plan, {}))

    assert decided(*edges, dropped=("a", "b")) == decided(*reversed(edges), dropped=("b", "a"))
