"""
Ports that a function declares, and others.
"""

from collections.abc import Iterator

from functions import crawl, extract, index

from oaflow import DatasetJob, Out, external, recurse, stage

extract.stage(next="index")
extract.stage(next={"default": "index", "children": "drop"})
extract.stage(next={"default": ["index", {"to": "people", "where": {"schema": "Person"}}], "children": "index"})
extract.stage(next={"default": "index", "children": recurse("extract", 16)})
extract.stage(next=["index", {"to": "extract", "port": "children", "recurse": 16}])
extract.stage(next=["index", recurse("extract", 16, port="children")])
extract.stage(next={"to": "index", "port": "children", "else": True})
crawl.stage(next={"default": "extract"})
external("m.f", queue="q", next={"any": "index"})

extract.stage(next={"default": "index", "childen": "drop"})  # refused
extract.stage(next={"default": "index", "media": recurse("extract", 16)})  # refused
extract.stage(next=["index", {"to": "extract", "port": "media", "recurse": 16}])  # refused
extract.stage(next=["index", recurse("extract", 16, port="media")])  # refused
extract.stage(next={"to": "index", "port": "media"})  # refused
crawl.stage(next={"default": "extract", "children": "extract"})  # refused
index.stage(next={"to": "extract", "port": "children"})  # refused


PORTS = ("default", "large")


@stage(ports=PORTS, emits={"default": ["Payment"], "large": ["Payment"]})
def named_by_a_constant(job: DatasetJob) -> Out:
    return Out("large", job)


@stage(ports=["default", "large"])
def listed(job: DatasetJob) -> Out:
    return Out("large", job)


named_by_a_constant.stage(next={"default": "drop", "large": "index"})
named_by_a_constant.stage(next={"default": "drop", "larg": "index"})  # refused
listed.stage(next={"default": "drop", "large": "index"})
# A list is of any texts for a type checker: `oaflow check` says what this port is not.
listed.stage(next={"default": "drop", "larg": "index"})
stage(ports="default,large", emits={"large": 3})  # refused


class Page(DatasetJob): ...


class Sound(DatasetJob): ...


@stage(ports=PORTS)
def says_what_is_in_it(job: DatasetJob, page: Page, sound: Sound) -> Iterator[Page | Out[Sound]]:
    yield page
    yield Out("large", sound)
    yield Out("large", page)  # refused


external("m.f", queue="q", emit="always", join="run")
external("m.f", queue="q", emit="later")  # refused
