"""
Which classes annotations say, and which of them may go along an edge.
"""

from collections.abc import AsyncIterator, Generator, Iterable, Iterator
from typing import Annotated, Any, Generic, Optional, Protocol, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oaflow import DatasetJob, Job, Out
from oaflow.compiler.functions import Inspected
from oaflow.compiler.kinship import check_kinship, related
from oaflow.compiler.lineages import returned, sent, taken
from oaflow.diagnostics import NO_SPANS
from oaflow.model import Edge, Pipeline, Stage, StageOptions

Payload = TypeVar("Payload")
Bound = TypeVar("Bound", bound=Job)


class Page(DatasetJob): ...


class Scan(Page): ...


class Sound(DatasetJob): ...


class Holding(DatasetJob, Generic[Payload]): ...


class HasDataset(Protocol):
    dataset: str


def names(lineages: Any) -> list[str] | None:
    return None if lineages is None else [lineage[0].partition(":")[2] for lineage in lineages]


@pytest.mark.parametrize(
    ("annotation", "classes"),
    [
        (Page, ["Page"]),
        (None, []),
        (Out, []),
        (Optional[Page], ["Page"]),  # noqa: UP045  it is another object than `Page | None`
        (Page | Sound | Out | None, ["Page", "Sound"]),
        (Iterator[Page | Out], ["Page"]),
        (Iterable[Page], ["Page"]),
        (AsyncIterator[Page], ["Page"]),
        (Generator[Page, Sound, None], ["Page"]),
        (list[list[Page]], ["Page"]),
        (Optional[list[Sound]], ["Sound"]),  # noqa: UP045  as above
        (tuple[Page, Sound], ["Page", "Sound"]),
        (tuple[Page, ...], ["Page"]),
        (Annotated[Page, "read"], ["Page"]),
        (Bound, ["Job"]),
        (Holding[int], ["Holding[int]"]),
        (Holding[Any], ["Holding"]),
        (int, ["int"]),
        (str, ["str"]),
        (Any, None),
        (object, None),
        (list, None),
        (dict, None),
        (Iterator[Any], None),
        (Page | Any, None),
        (Payload, None),
        (HasDataset, None),
        ("Page", None),
    ],
)
def test_what_is_returned_is_read_from_every_kind_of_annotation(annotation, classes):
    assert names(returned(annotation)) == classes


@pytest.mark.parametrize(
    ("annotation", "classes"),
    [
        (Out[Page], ["Page"]),
        (Iterator[Page | Out[Sound]], ["Sound"]),
        (list[Out[Page] | Out[Sound] | None], ["Page", "Sound"]),
        (Iterator[Annotated[Out[Page | Sound], "both"]], ["Page", "Sound"]),
        (Iterator[Page], []),
        (None, []),
        (Out, None),
        (Out[Any], None),
        (Iterator[Page | Out], None),
        (Any, None),
        (list, None),
    ],
)
def test_what_is_returned_in_an_out_is_read_apart(annotation, classes):
    assert names(sent(annotation)) == classes
    assert names(returned(annotation)) != ["Out"]


def test_what_is_taken_is_not_looked_into():
    assert names(taken(list[Page])) == ["list"]
    assert names(taken(Page | None)) == ["Page"]
    assert taken(Iterable[Page]) is None
    assert taken(Any) is None


@given(st.sampled_from([Job, DatasetJob, Page, Scan, Sound]), st.sampled_from([Job, DatasetJob, Page, Scan, Sound]))
def test_an_edge_is_right_exactly_where_one_class_is_derived_from_the_other(given_class, taken_class):
    kin = issubclass(given_class, taken_class) or issubclass(taken_class, given_class)

    assert related(returned(given_class), taken(taken_class)) is kin


def told(gives: Any, takes: Any, **stage: Any) -> list[str]:
    stages = {"a": Stage(task="m.a", **(stage or {"next": (Edge(to="b"),)})), "b": Stage(task="m.b")}
    inspected = {
        "m.a": Inspected(
            StageOptions(), taken_classes=taken(Sound), returned_classes=returned(gives), sent_classes=sent(gives)
        ),
        "m.b": Inspected(StageOptions(), taken_classes=taken(takes)),
    }
    return [one.message for one in check_kinship(Pipeline(name="p", stages=stages), inspected, NO_SPANS)]


def test_classes_of_one_name_are_told_with_their_modules():
    other = type("Page", (DatasetJob,), {"__module__": "others"})

    assert told(Page, other) == [
        f"stage 'b' takes others.Page, but this edge brings {__name__}.Page",
    ]


def test_only_what_goes_along_an_edge_is_compared():
    assert told(Page, Sound) != []
    assert told(Page, Sound, next=(Edge(to="b", port="large"),)) == []
    assert told(Sound | Out[Page], Sound, next=(Edge(to="b", port="large"),)) != []
    assert told(Page | Out[Sound], Sound, next=(Edge(to="b", port="large"),)) == []
    assert told(Page, Sound, on_error="b") == []
    assert told(Page, Page, on_error="b") == ["stage 'b' takes Page, but this edge brings Sound"]
    assert told(Iterator[Page | Sound], Sound) == []
    assert told(None, Sound) == told(Any, Sound) == told(Page, Any) == []


def test_one_class_of_a_parametrised_model_is_not_another():
    assert told(Holding[int], Holding[str]) != []
    assert told(Holding[int], Holding[Any]) == told(Holding[int], Holding) == told(Holding, Holding[str]) == []
