"""
Rectangles, and lines with right angles.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """
    A rectangle: its left upper corner, and its size.
    """

    x: float
    y: float
    width: float
    height: float

    @classmethod
    def around(cls, point: Point, size: Point) -> "Box":
        """
        The one of a size with its middle at a point.
        """
        return cls(point[0] - size[0] / 2, point[1] - size[1] / 2, *size)

    @property
    def corners(self) -> tuple[Point, Point]:
        """
        The left upper and the right lower one.
        """
        return (self.x, self.y), (self.x + self.width, self.y + self.height)

    def meets(self, other: "Box") -> bool:
        """
        Whether both have some room in common.
        """
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )

    def within(self, gap: float) -> "Box":
        """
        The same, smaller by a gap on each side.
        """
        return Box(self.x + gap, self.y + gap, self.width - 2 * gap, self.height - 2 * gap)

    def moved(self, across: float, down: float) -> "Box":
        """
        The same, elsewhere.
        """
        return Box(self.x + across, self.y + down, self.width, self.height)

    def apart(self, other: "Box") -> float:
        """
        How far both are from each other, across or down.
        """
        across = max(other.x - self.x - self.width, self.x - other.x - other.width, 0.0)
        return max(across, other.y - self.y - self.height, self.y - other.y - other.height)


def strokes(points: tuple[Point, ...]) -> Iterator[Box]:
    """
    The parts of a line between its corners, each as a box without a width or without a height.
    """
    for (x, y), (to_x, to_y) in pairwise(points):
        yield Box(min(x, to_x), min(y, to_y), abs(x - to_x), abs(y - to_y))
