"""
The Python form of a pipeline: the words of the YAML form, with types.

Nothing is checked here beyond what `@stage` itself is told: a `Pipeline` holds plain data, and the compiler says what
is wrong with it, all at once, in either form.
"""

from oaflow.dsl.pipelines import Param, Pipeline
from oaflow.dsl.stages import Out, StageFunction, StageUse, external, recurse, stage

__all__ = ["Out", "Param", "Pipeline", "StageFunction", "StageUse", "external", "recurse", "stage"]
