"""
Pipelines of any size, like those that people write, to be laid out: chains and branches, ways back, errors that go to
one place, conditions on the ways, joins, and what most of it leads to.
"""

from random import Random

from oaflow.graph import Arrow, Graph, Node

_TASKS = ("crawl", "extract", "analyze", "translate", "transcribe", "link", "geocode", "classify_documents", "ocr")
_CONDITIONS = (
    "",
    "",
    "",
    "schema: Document",
    "job.context.ocr and e.language != 'eng'",
    "else",
    "country: [ch, de], not: {mimeType: text/html}",
)
_PORTS = ("default", "default", "default", "children", "media", "names")


def pipeline_of(size: int, seed: int) -> Graph:
    """
    A graph of so many stages, the same for the same seed.
    """
    random = Random(seed)
    names = [f"{random.choice(_TASKS)}-{number}" for number in range(size)]
    end = names[-1]
    waits = random.random() < 0.5 and size > 4
    nodes = [_node(name, number, size, random) for number, name in enumerate(names)]
    if waits:
        nodes.append(Node("report", "m.report", "q", False, True, False, None, join=("run",)))
        nodes.append(Node("after", "m.after", "q", False, True, False, None, join=(names[1], names[2])))
    arrows: dict[tuple[str, str, str, str], Arrow] = {}

    def lead(source: str, to: str | None, kind="next", port="default", recurse=None, condition=""):
        arrows.setdefault((source, str(to), port, kind), Arrow(source, to, port, kind, recurse, condition))

    for number, name in enumerate(names[1:], 1):
        lead(
            names[max(0, number - random.choice((1, 1, 1, 2, 3, 6)))],
            name,
            port=random.choice(_PORTS),
            condition=random.choice(_CONDITIONS),
        )
    for name in names[:-1]:
        if random.random() < 0.2:
            lead(name, end)
        if random.random() < 0.3:
            lead(name, names[-2] if size > 2 else end, "error", "error")
        if random.random() < 0.08:
            lead(name, name, port="children", recurse=16)
        if random.random() < 0.08:
            lead(name, None, "drop", "junk")
    for _ in range(size // 6):
        one, other = sorted(random.sample(range(size), 2))
        if other - one < 9:
            lead(names[one], names[other], port=random.choice(_PORTS), condition=random.choice(_CONDITIONS))
            if random.random() < 0.3:
                lead(names[other], names[one], port="again", recurse=3)
    return Graph("generated", tuple(nodes), tuple(arrows.values()))


def _node(name: str, number: int, size: int, random: Random) -> Node:
    external = random.random() < 0.1
    counts = (
        {"done": random.randrange(10**6), "failed": random.choice((0, 3)), "waiting": 12}
        if random.random() < 0.3
        else {}
    )
    return Node(
        name,
        f"m.{name}",
        "q",
        number == 0,
        number == size - 1,
        external,
        "param 'translate' is false" if random.random() < 0.05 else None,
        counts,
        collect=100 if random.random() < 0.1 else None,
    )
