"""
The Python form of a pipeline: the keys of a pipeline file, with types.

Only the options of `@stage` are checked here. A `Pipeline` holds plain data; the compiler finds all mistakes in it, as
it does in a file.
"""

from oaflow.dsl.pipelines import Param, Pipeline
from oaflow.dsl.stages import Out, StageFunction, StageUse, external, recurse, stage

__all__ = ["Out", "Param", "Pipeline", "StageFunction", "StageUse", "external", "recurse", "stage"]
