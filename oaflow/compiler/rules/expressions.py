"""
Phase 2: conditions of edges and stages.
"""

from oaflow.compiler.rules.declare import rule

BAD_EXPRESSION = rule(
    "OAF206",
    "bad-expression",
    "a condition that cannot be evaluated",
    """
    `when`, `where` and `enabled` are Python expressions of a small kind. They know the job (`job`), the params of the
    run (`params`), the run (`run`), and in `where` the entity (`e`); `enabled` knows `params` only. Names of params,
    and of properties and schemata of FollowTheMoney, are looked up. A property is a list of texts, which is asked
    with `has`, `lacks` or `others`.
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: translate, where: "e.language == 'rus'"}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: translate, where: "has(e.language, 'rus')"}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
)
NEEDS_LOAD = rule(
    "OAF207",
    "needs-load",
    "a condition reads what does not travel",
    """
    Entities travel between stages without their long texts (properties of FollowTheMoney's types text, html and json),
    and external stages hand over stubs. With `load: true` an edge reads the entities from the store before it decides;
    that takes a query for each job, so it is said and not done unasked.
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: count, where: "contains(e.bodyText, 'EUR')"}]}
      index: {task: letters.index}
      count: {task: letters.count}
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: count, where: "contains(e.bodyText, 'EUR')", load: true}]}
      index: {task: letters.index}
      count: {task: letters.count}
    """,
)
