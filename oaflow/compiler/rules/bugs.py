"""
What is wrong with oaflow, and not with a pipeline.
"""

from oaflow.compiler.rules.declare import rule

BUG = rule(
    "OAF901",
    "bug",
    "the mistake is in oaflow itself",
    """
    The checks stopped where they should not, whatever stands in the pipeline. A command that says so without a place
    in a pipeline means the same. With `--debug` it shows where in the program that was; with this, and the pipeline,
    it can be mended.
    """,
    """
    $ oaflow check letters.yml
    error[OAF901] bug: oaflow itself failed at this pipeline: KeyError: 'read'
    """,
    """
    $ oaflow check letters.yml --debug
    """,
)
