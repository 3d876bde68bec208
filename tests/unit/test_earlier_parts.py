"""
The parts of a stream that earlier attempts handed over.
"""

import sys

from oaflow.runtime.streams import Earlier


class Position(int):
    """
    A position that counts how often one is compared with another.
    """

    compared = 0

    def __lt__(self, other: int, /) -> bool:
        Position.compared += 1
        return int(self) < int(other)

    def __gt__(self, other: int, /) -> bool:
        Position.compared += 1
        return int(self) > int(other)

    def __ge__(self, other: int, /) -> bool:
        Position.compared += 1
        return int(self) >= int(other)


def test_what_was_handed_over_is_found_by_position() -> None:
    earlier = Earlier([(30, "5:c", 1), (0, "10:a", 10), (10, "7:b", 3)])

    assert [earlier.at(position) for position in (0, 5, 30)] == [(10, "10:a"), None, (5, "5:c")]
    assert [earlier.room(position) for position in (0, 9, 10, 29, 30, 40)] == [10, 1, 20, 1, sys.maxsize, sys.maxsize]
    assert [earlier.beyond(position) for position in (0, 1, 30, 31)] == [(0, 10), (10, 7), (30, 5), None]
    assert (Earlier(()).room(0), Earlier(()).beyond(0)) == (sys.maxsize, None)


def test_each_of_many_parts_is_found_without_a_look_at_all_others() -> None:
    count = 4096
    earlier = Earlier([(Position(number), "1:a", 1) for number in range(count)])
    Position.compared = 0

    for number in range(count):
        earlier.room(number)
        earlier.beyond(number)

    assert Position.compared <= 2 * 13 * count
