"""
From a declared pipeline to a plan, or to everything that is wrong with it.

The names are loaded on first use: the loader needs the rules of this package, and this package the loader.
"""

from typing import TYPE_CHECKING

from oaflow.lazy import on_first_use

if TYPE_CHECKING:
    from oaflow.compiler.checking import Checked as Checked
    from oaflow.compiler.checking import PipelineError as PipelineError
    from oaflow.compiler.checking import check_data as check_data
    from oaflow.compiler.checking import check_declared as check_declared
    from oaflow.compiler.checking import check_file as check_file
    from oaflow.compiler.explaining import explain as explain
    from oaflow.compiler.shape import parse_pipeline as parse_pipeline

_HOMES = {
    "Checked": "oaflow.compiler.checking",
    "PipelineError": "oaflow.compiler.checking",
    "check_data": "oaflow.compiler.checking",
    "check_declared": "oaflow.compiler.checking",
    "check_file": "oaflow.compiler.checking",
    "explain": "oaflow.compiler.explaining",
    "parse_pipeline": "oaflow.compiler.shape",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]

if not TYPE_CHECKING:
    __getattr__ = on_first_use(__name__, _HOMES)
