"""
Ready-made stages: from a folder of files to entities that can be searched.

Importing this starts no thread and loads neither followthemoney nor kreuzberg: a forkserver preloads it, and the
compiler only looks at the signatures.
"""

from oaflow.stages.analyzing import analyze
from oaflow.stages.answering import answer
from oaflow.stages.crawling import crawl
from oaflow.stages.extracting import extract
from oaflow.stages.indexing import index
from oaflow.stages.quarantining import quarantine
from oaflow.stages.reporting import report

# What the stages load on first use: the forkserver does so once for all executors.
__preload__ = (
    "followthemoney",
    "rigour.names",
    "phonenumbers",
    "chardet",
    "stdnum.iban",
    "kreuzberg",
    "oaflow.stages.languages:identifier",
    "oaflow.stages.mentions:country_names",
    "oaflow.entities.words:prepare",
)

# These need nothing of it, and begin before it is loaded.
__early__ = ("crawl", "report")

# Said before a run begins, and not by each of its documents.
__needs__ = {
    "extract": ("oaflow[documents]", ("kreuzberg", "libarchive", "olefile", "tnefparse", "chardet")),
    "analyze": ("oaflow[documents]", ("py3langid", "babel", "phonenumbers", "stdnum", "rigour")),
}

__all__ = ["analyze", "answer", "crawl", "extract", "index", "quarantine", "report"]

for _function in (analyze, answer, crawl, extract, index, quarantine, report):
    # A task is named by its dotted path, in plans and in queues: `oaflow.stages.crawl`, wherever the code stands.
    _function.__module__ = __name__
del _function
