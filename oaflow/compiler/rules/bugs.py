"""
What is wrong with oaflow, and not with a pipeline.
"""

from oaflow.compiler.rules.declare import rule

BUG = rule(
    "OAF901",
    "bug",
    "the mistake is in oaflow itself",
    """
    A check failed with an internal error, which no pipeline should cause. The same holds for a command that reports
    this without a place in a pipeline. Run it with `--debug` and report the traceback with the pipeline, so that it
    can be fixed.
    """,
    """
    $ oaflow check letters.yml
    error[OAF901] bug: oaflow itself failed at this pipeline: KeyError: 'read'
    """,
    """
    $ oaflow check letters.yml --debug
    """,
)
