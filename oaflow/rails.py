"""
A graph as text, one stage a line: lanes run down on the left, one for each stage that is still to come, as in
`git log --graph`.

All edges to a stage share its lane, so that a stage with ten ways in takes no more room than one; and every branch is
said in words too, so that nobody has to follow a line. Pure.
"""

from dataclasses import dataclass, field

from oaflow.graph import Arrow, Graph, Node
from oaflow.visible import visible

# What a cell of a lane shows, by the sides on which a line leaves it: up, right, down, left.
_SHAPES = {
    "ud": "│", "rl": "─", "ur": "╰", "ul": "╯", "rd": "╭", "dl": "╮",
    "urd": "├", "udl": "┤", "urdl": "┼", "rdl": "┬", "url": "┴",
}  # fmt: skip


def rails(graph: Graph) -> str:
    """
    The drawing, without a trailing blank on any line.
    """
    picture = _Picture()
    order = in_order(graph)
    place = {node.name: number for number, node in enumerate(order)}
    leaving: dict[str, list[Arrow]] = {node.name: [] for node in order}
    for arrow in graph.arrows:
        leaving[arrow.source].append(arrow)
    for node in order:
        picture.stage(node, leaving[node.name], place)
    return picture.text()


def in_order(graph: Graph) -> list[Node]:
    """
    The stages from the start on, each after all that lead to it, but for the edges that close a cycle.

    The reverse of the order in which a search in depth leaves them: so a chain stands together, and what many lead to
    comes late. Nothing leads to a join: it stands after what it waits for.
    """
    nodes = {node.name: node for node in graph.nodes}
    following: dict[str, list[str]] = {name: [] for name in nodes}
    for arrow in graph.arrows:
        if arrow.to is not None:
            following[arrow.source].append(arrow.to)
    for node in graph.nodes:
        for name in node.join:
            if name in following:
                following[name].append(node.name)
    left: list[str] = []
    entered: set[str] = set()
    # Only joins and starts are searched from, the last first: what is searched first stands last. (What neither leads
    # to is no part of a checked plan, and comes out on top.)
    waiting = [(name, False) for name in sorted(nodes, key=lambda name: (bool(nodes[name].join), nodes[name].start))]
    while waiting:
        name, done = waiting.pop()
        if done:
            left.append(name)
        elif name not in entered:
            entered.add(name)
            waiting.append((name, True))
            waiting += [(target, False) for target in following[name]]
    return [nodes[name] for name in reversed(left)]


@dataclass
class _Picture:
    """
    What is drawn so far, and which stage each lane leads to (None: free). `dashed` are lanes of errors only.
    """

    rows: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    lanes: list[str | None] = field(default_factory=list[str | None])
    dashed: set[str] = field(default_factory=set[str])

    def text(self) -> str:
        width = max((len(drawn) for drawn, _ in self.rows), default=0)
        return "".join(f"{drawn:<{width}}  {said}".rstrip() + "\n" for drawn, said in self.rows)

    def stage(self, node: Node, leaving: list[Arrow], place: dict[str, int]) -> None:
        at = self.lanes.index(node.name) if node.name in self.lanes else self._free(0)
        self.lanes[at] = node.name
        self._row(at, _mark(node), said=_said(node))
        self.lanes[at] = None
        ahead = [arrow for arrow in leaving if arrow.to is not None and place[arrow.to] > place[node.name]]
        by_target: dict[str, list[Arrow]] = {}
        for arrow in ahead:
            by_target.setdefault(str(arrow.to), []).append(arrow)
        # One that has no lane yet goes straight on in this one: the first that is no error.
        fresh = [name for name in by_target if name not in self.lanes]
        onward = next((name for name in fresh if not _only_errors(by_target[name])), fresh[0] if fresh else None)
        others = [name for name in by_target if name != onward]
        for arrow in leaving:
            if arrow not in ahead:
                self._row(at, "│" if by_target else " ", said=f"  {_way(arrow)}")
        for number, name in enumerate(others):
            last = onward is None and number == len(others) - 1
            self._branch(at, name, by_target[name], ends=last)
        if onward is not None:
            self._lead(at, onward, by_target[onward])
            if any(arrow.label for arrow in by_target[onward]):
                self._row(at, self._bar(at), said=f"  {_ways(by_target[onward])}")

    def _lead(self, lane: int, name: str, arrows: list[Arrow]) -> None:
        if name not in self.lanes:
            self.lanes[lane] = name
            if _only_errors(arrows):
                self.dashed.add(name)
        elif not _only_errors(arrows):
            self.dashed.discard(name)

    def _branch(self, at: int, name: str, arrows: list[Arrow], *, ends: bool) -> None:
        new = name not in self.lanes
        to = self._free(at + 1) if new else self.lanes.index(name)
        before = list(self.lanes)
        self._lead(to, name, arrows)
        line = "┄" if _only_errors(arrows) else "─"
        left, right = min(at, to), max(at, to)
        cells: list[str] = []
        for lane in range(len(self.lanes)):
            held = before[lane] is not None
            if lane == at:
                sides = "u" + ("r" if to > at else "") + ("" if ends else "d") + ("l" if to < at else "")
                cells.append(_SHAPES[sides])
            elif lane == to:
                sides = ("u" if held else "") + ("r" if at > to else "") + "d" + ("l" if at < to else "")
                cells.append(_SHAPES[sides])
            elif left < lane < right:
                cells.append("┼" if held else line)
            else:
                cells.append(self._bar(lane) if held else " ")
        drawn = "".join(cell + (line if left <= lane < right else " ") for lane, cell in enumerate(cells))
        self.rows.append((drawn.rstrip(), f"  {_ways(arrows)}"))

    def _row(self, at: int, mark: str, *, said: str) -> None:
        cells = [mark if lane == at else self._bar(lane) for lane in range(len(self.lanes))]
        self.rows.append((" ".join(cells).rstrip(), said))

    def _bar(self, lane: int) -> str:
        name = self.lanes[lane]
        return " " if name is None else "┆" if name in self.dashed else "│"

    def _free(self, least: int) -> int:
        for lane in range(least, len(self.lanes)):
            if self.lanes[lane] is None:
                return lane
        self.lanes += [None] * max(1, least + 1 - len(self.lanes))
        return len(self.lanes) - 1


def _only_errors(arrows: list[Arrow]) -> bool:
    return all(arrow.kind == "error" for arrow in arrows)


def _mark(node: Node) -> str:
    return "○" if node.disabled else "◆" if node.external else "●"


def _said(node: Node) -> str:
    facts = ["external"] if node.external else []
    facts += [f"off: {node.disabled}"] if node.disabled else []
    facts += [fact for fact in (node.takes, node.counted) if fact]
    return visible(node.name + (f"  ({', '.join(facts)})" if facts else ""))


def _ways(arrows: list[Arrow]) -> str:
    return ", ".join(_way(arrow) for arrow in arrows)


def _way(arrow: Arrow) -> str:
    label = visible(arrow.label)
    if arrow.to is None:
        return f"╳ {label or 'default'}: dropped"
    sign = "↻" if arrow.recurse is not None else "→"
    return f"{sign} {visible(arrow.to)}" + (f" ({label})" if label else "")
