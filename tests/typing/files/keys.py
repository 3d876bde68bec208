"""
Keys and values that are not there.
"""

from pathlib import Path

from functions import crawl, index

from oaflow import Out, Param, Pipeline, external, recurse, stage

stage(que="ingest")  # refused
stage(emit="later")  # refused
stage(retry={"maximum": 3})  # refused
crawl.stage(nxt="extract")  # refused
crawl.stage(task="m.f")  # refused
crawl.stage(next=3)  # refused
crawl.stage(choose="some")  # refused
crawl.stage(next={"to": "index", "where": {"schema": 3}})  # refused
crawl.stage(next={"to": "index", "when": True})  # refused
crawl.stage(next=[{"to": "a", "recursive": 3}])  # refused
crawl.stage(next={"to": "index", "recurse": 3, "where": {"schema": "Document"}, "wen": {"a": "b"}})  # refused
crawl.stage(retry={"max": 2, "backof": "none"})  # refused
crawl.stage(on_error=index)  # refused
external("m.f", next="index")  # refused
external("m.f", queue="q", timeout="1m")  # refused
recurse("extract")  # refused
Param(list[Path], positionl=True)  # refused
Param("strin")  # refused
Pipeline("p", stages={"a": index})  # refused
Pipeline("p", stages={}, default={})  # refused
Pipeline("p", stages={}, tests=[{"at": "a"}])  # refused
Pipeline("p", stages={}, tests=[{"at": "a", "expect": {}, "job": {"entities": [{"schma": "Person"}]}}])  # refused
Pipeline("p", stages={}, defaults={"retrys": 3})  # refused
Out("children")  # refused
