"""
The shape of a pipeline: plain data becomes declarations, with every shorthand written out. Pure.

YAML and the Python form both come through here, so a shorthand means the same in both.
"""

from collections.abc import Mapping
from typing import Any

from oaflow.diagnostics import NO_SPANS, Diagnostic, Spans
from oaflow.model import Pipeline


def parse_pipeline(data: Mapping[str, Any], spans: Spans = NO_SPANS) -> tuple[Pipeline | None, list[Diagnostic]]:
    """
    Read a pipeline from plain data: the keys of a pipeline file (`pipeline`, `params`, `stages`, ...).

    Returns:
        The pipeline, or None where its shape is wrong; and all that there is to say about it, warnings included.
    """
    raise NotImplementedError
