"""
Pipelines of 3, 12 and 30 stages in a short form, to draw.
"""

from oaflow.plan import Plan, PlannedEdge, PlannedStage


def plan_from(name: str, text: str) -> Plan:
    """
    A plan from lines like `extract: analyze children/extract^16 junk/drop error/quarantine`; the first stage starts.

    A word is `TARGET`, `PORT/TARGET`, `PORT/TARGET^DEPTH`, `error/TARGET`, `PORT/drop`, `external` or `?PARAM`.
    """
    stages: dict[str, PlannedStage] = {}
    for line in text.strip().splitlines():
        stage, _, words = line.strip().partition(":")
        keys: dict = {"edges": (), "dropped": ()}
        for word in words.split():
            port, slash, target = word.rpartition("/")
            target, _, depth = target.partition("^")
            if word == "external":
                keys["external"] = True
            elif word.startswith("?"):
                keys["enabled"] = word[1:]
            elif port == "error":
                keys["on_error"] = target
            elif target == "drop":
                keys["dropped"] += (port,)
            else:
                edge = PlannedEdge(to=target, port=port if slash else "default", recurse=int(depth) if depth else None)
                keys["edges"] += (edge,)
        stages[stage] = PlannedStage(task=f"{name}.{stage}", queue=stage, **keys)
    return Plan(pipeline=name, start=(next(iter(stages)),), stages=stages)


THREE = plan_from(
    "words",
    """
    files: count other/drop
    count: report
    report:
    """,
)

_TWELVE = """
    crawl: extract
    extract: analyze children/extract^16 media/transcribe junk/drop error/quarantine
    transcribe: analyze
    analyze: index translate names/link geocode thumbnails
    translate: index external ?translate
    geocode: index external
    link: dedupe
    dedupe: index
    thumbnails:
    index: report
    quarantine: index
    report:
"""

TWELVE = plan_from("documents", _TWELVE)

_CHAINS = {"mail": 6, "feed": 5, "copy": 5}

THIRTY = plan_from(
    "everything",
    _TWELVE.replace("report:\n", "report: mail-1 feed-1 copy-1\n")
    + "\n".join(
        f"{name}-{number}: {name}-{number + 1} error/failed"
        for name, length in _CHAINS.items()
        for number in range(1, length)
    )
    + "\nmail-6: done\nfeed-5: done\ncopy-5: done copy-2^3\ndone:\nfailed:\n",
)
