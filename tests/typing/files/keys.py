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

# The value of each key.
crawl.stage(with_=["source"])  # refused
crawl.stage(queue=3)  # refused
crawl.stage(retry="often")  # refused
crawl.stage(retry={"backoff": "linear"})  # refused
crawl.stage(retry={"base": ["2s"]})  # refused
crawl.stage(timeout=["30m"])  # refused
crawl.stage(memory=["2GiB"])  # refused
crawl.stage(priority=0.5)  # refused
crawl.stage(emit="later")  # refused
crawl.stage(enabled=0.5)  # refused
crawl.stage(origin=3)  # refused
crawl.stage(description=3)  # refused
crawl.stage(collect={"sise": 100})  # refused
crawl.stage(collect={"wait": "2s"})  # refused
crawl.stage(split="three")  # refused
crawl.stage(join=3)  # refused
crawl.stage(concurrency=0.5)  # refused
crawl.stage(rate=50)  # refused
crawl.stage(lock=True)  # refused
crawl.stage(next={"to": "index", "load": "yes"})  # refused
crawl.stage(next={"to": "index", "else": "yes"})  # refused
crawl.stage(next={"port": "default"})  # refused
external("m.f", queue="q", collect={"sise": 100})  # refused
external("m.f", queue="q", on_error=index)  # refused
external("m.f", queue="q", split="three")  # refused
Pipeline("p", stages={}, defaults={"timeout": ["30m"]})  # refused
Pipeline("p", stages={}, defaults={"choose": "some"})  # refused
Pipeline("p", stages={}, start=3)  # refused
Pipeline("p", stages={}, params={"a": "string"})  # refused
Pipeline("p", stages={}, tests=[{"at": "a", "expect": {"b": "one"}}])  # refused
Param(choices=3)  # refused
