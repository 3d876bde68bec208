"""
Phase 2: what the names in a pipeline stand for.
"""

from oaflow.compiler.rules.declare import rule

UNKNOWN_STAGE = rule(
    "OAF201",
    "unknown-stage",
    "an edge leads to a stage that does not exist",
    """
    `next`, `on_error`, `join` and `start` name stages of this pipeline, by their keys under `stages`.
    """,
    """
    pipeline: letters
    stages:
      extract: {task: letters.extract, next: {default: analyse}}
      analyze: {task: letters.analyze}
    """,
    """
    pipeline: letters
    stages:
      extract: {task: letters.extract, next: {default: analyze}}
      analyze: {task: letters.analyze}
    """,
)
UNKNOWN_PARAM = rule(
    "OAF202",
    "unknown-param",
    "the pipeline does not declare a param that it uses",
    """
    `${params.NAME}` and `params.NAME` refer to a param under `params`.
    """,
    """
    pipeline: letters
    params: {language: {default: eng}}
    stages:
      read: {task: letters.read, with: {language: "${params.langage}"}}
    """,
    """
    pipeline: letters
    params: {language: {default: eng}}
    stages:
      read: {task: letters.read, with: {language: "${params.language}"}}
    """,
)
PARAM_TYPE = rule(
    "OAF204",
    "param-type",
    "a param is used where a value of its type does not fit",
    """
    A `timeout` takes a param of type duration, int or float, `memory` one of type size or int, `priority` and
    `retry.max` one of type int, `enabled` one of type bool. Any param but a list can be inserted
    into a longer text.
    """,
    """
    pipeline: letters
    params: {patience: {type: bool, default: true}}
    stages:
      read: {task: letters.read, timeout: "${params.patience}"}
    """,
    """
    pipeline: letters
    params: {patience: {type: duration, default: 10m}}
    stages:
      read: {task: letters.read, timeout: "${params.patience}"}
    """,
)
DUPLICATE_ORIGIN = rule(
    "OAF205",
    "duplicate-origin",
    "two stages write under the same origin",
    """
    What a stage writes for a document replaces what was written before under the same origin. Two stages with one
    origin would delete each other's work. So would a stage with origin `oaflow`, as jobs outside of pipelines have, or
    `PIPELINE/-i`, as the entities of `oaflow run -i` have. Without the key, the origin is `PIPELINE/STAGE`.
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, origin: letters, next: scan}
      scan: {task: letters.scan, origin: letters}
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, origin: letters, next: scan}
      scan: {task: letters.scan}
    """,
)
UNKNOWN_PORT = rule(
    "OAF230",
    "unknown-port",
    "a test names a port that its stage does not wire",
    """
    `port` of a test is the port on which the function of `at` returned the job: one of those under its `next`. The
    default is `default`.
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: {default: index, media: drop}}
      index: {task: letters.index}
    tests:
      - {at: read, port: meda, expect: {}}
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: {default: index, media: drop}}
      index: {task: letters.index}
    tests:
      - {at: read, port: media, expect: {}}
    """,
)
TWO_POSITIONAL = rule(
    "OAF231",
    "two-positional",
    "two params are positional",
    """
    In `oaflow run PIPELINE -d DATASET A B C`, the arguments at the end go to one param.
    """,
    """
    pipeline: notes
    params:
      source: {type: list, of: path, positional: true}
      target: {type: path, positional: true}
    stages:
      read: {task: notes.read, with: {source: "${params.source}", target: "${params.target}"}}
    """,
    """
    pipeline: notes
    params:
      source: {type: list, of: path, positional: true}
      target: {type: path}
    stages:
      read: {task: notes.read, with: {source: "${params.source}", target: "${params.target}"}}
    """,
)
