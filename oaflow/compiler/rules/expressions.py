"""
Phase 2: conditions of edges and stages.
"""

from oaflow.compiler.rules.declare import rule

BAD_EXPRESSION = rule(
    "OAF206",
    "bad-expression",
    "an expression cannot be read",
    """
    `when`, `where`, `lock` and `enabled` are expressions in the syntax of Python. They know the job (`job`), the params
    of the run (`params`), the run (`run`), and in `where` the entity (`e`); `enabled` knows `params` only. `==`
    compares, `and`, `or` and `not` join; a text is in quotes, and the whole expression too: in the quotes of YAML.
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: translate, where: "e.schema = 'Email'"}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: translate, where: "e.schema == 'Email'"}]}
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
    that takes a query for each job, so it is said and not done unasked. Only `where` sees what was read, as properties
    of `e`: `when` and `job.entities` see what travelled.
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
INTERPOLATION = rule(
    "OAF208",
    "reference-in-expression",
    "`${params.NAME}` stands in an expression",
    """
    An expression is checked before the values of params are known, so nothing is filled in. It reads a param itself:
    `params.NAME`, without `${}` and without quotes around it.
    """,
    """
    pipeline: letters
    params: {target: {default: eng}}
    stages:
      read: {task: letters.read, next: [index, {to: translate, where: "has(e.language, '${params.target}')"}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
    """
    pipeline: letters
    params: {target: {default: eng}}
    stages:
      read: {task: letters.read, next: [index, {to: translate, where: "has(e.language, params.target)"}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
)
NOT_IN_EXPRESSIONS = rule(
    "OAF209",
    "not-in-expressions",
    "Python that is no part of expressions",
    """
    An expression compares and asks; it does not calculate, build texts, call methods, or define anything. There is one
    generator, in `any`, `all`, `len`, `min` and `max`. What needs more is decided in a stage, which emits on two ports
    or puts a value into the context of the job.
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: translate, where: "e.language.lower() == 'eng'"}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: translate, where: "has(lower(e.language), 'eng')"}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
)
UNKNOWN_NAME = rule(
    "OAF210",
    "unknown-name",
    "an expression names what is not known there",
    """
    The names are `job`, `params` and `run`, and in `where` the entity `e`; `enabled` knows only `params`, as it is
    decided when a run starts. A property is `e.NAME`, a param `params.NAME`, and a text is in quotes.
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: translate, where: "has(language, 'eng')"}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: translate, where: "has(e.language, 'eng')"}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
)
UNKNOWN_FUNCTION = rule(
    "OAF211",
    "unknown-function",
    "an expression calls a function that does not exist",
    """
    The functions are `is_a`, `has`, `lacks`, `others`, `startswith`, `endswith`, `contains`, `matches`, `lower`,
    `number`, and of lists `any`, `all`, `len`, `min`, `max`.
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: translate, where: "beginswith(e.mimeType, 'image/')"}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: translate, where: "startswith(e.mimeType, 'image/')"}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
)
UNKNOWN_FIELD = rule(
    "OAF212",
    "unknown-field",
    "an expression reads a field that the job or the run does not have",
    """
    A job has `queue`, `task`, `dataset`, `batch`, `payload`, `context` and `entities`; a run has `id`, `pipeline` and
    `dataset`. What stages put into the context is behind `job.context`; what is not there is empty, and no mistake.
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: translate, when: job.ocr}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: translate, when: job.context.ocr}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
)
UNKNOWN_PROPERTY = rule(
    "OAF213",
    "unknown-property",
    "a condition or a test names a property that FollowTheMoney does not have",
    """
    Behind `e.`, and as keys of a `where` that is a mapping, stand properties of FollowTheMoney, beside `e.id`,
    `e.schema` and `e.caption`; in a test, under `properties` of an entity.
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: translate, where: "has(e.langauge, 'eng')"}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: translate, where: "has(e.language, 'eng')"}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
)
UNKNOWN_SCHEMA = rule(
    "OAF214",
    "unknown-schema",
    "a condition names a schema that FollowTheMoney does not have",
    """
    Schemata are written as FollowTheMoney does. `is_a`, and `schema` in a mapping, mean a schema with all that descend
    from it; `e.schema ==` means that one alone.
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: translate, where: {schema: Mail}}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: translate, where: {schema: Email}}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
)
LIST_COMPARED = rule(
    "OAF215",
    "list-compared",
    "a property is compared as if it had one value",
    """
    Every property is a list of texts: a document has several languages, a person several names. `has(values, x, ...)`
    asks whether one of x is among them, `lacks` whether none is, `others` whether there are values beside x.
    `number(values)` is the largest as a number; `min` and `max` give one of them, as for dates.
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
NEVER_HOLDS = rule(
    "OAF216",
    "never-holds",
    "a condition never holds, or values are compared that are never equal, ordered, or in each other",
    """
    Nothing would go along the edge: no entity is both a person and a document.

    A number is never equal to a text, and neither comes first: `number(...)` reads a text. No entity has an abstract
    schema such as `Thing` itself: `is_a` asks about what descends from it. A param with `choices` is one of them, or
    nothing.
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: translate, where: "len(e.language) > '1'"}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: translate, where: "len(e.language) > 1"}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
)
DECIDES_NOTHING = rule(
    "OAF217",
    "decides-nothing",
    "a value that is written out stands where something is to be decided",
    """
    A text that is written out is always true. Mostly it was to be compared, as the one before it; or the expression is
    in quotes twice.
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: translate, where: "e.schema == 'Email' or 'Page'"}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: translate, where: "e.schema in ('Email', 'Page')"}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
)
WRONG_ARGUMENT = rule(
    "OAF218",
    "wrong-argument",
    "a function, or a place in a list, is given what it cannot do with",
    """
    The help shows how the function is used. `len`, `any`, `all`, `min` and `max` take one list or one generator. The
    entity, the job, the params and the run are no values themselves: their fields are.
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: translate, where: "max(1, 2) < len(e.language)"}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: translate, where: "max([1, 2]) < len(e.language)"}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
)
BAD_PATTERN = rule(
    "OAF219",
    "bad-pattern",
    "a regular expression that cannot be used",
    """
    `matches` finds a pattern anywhere in a text; `^` and `$` hold it to the ends. Patterns are those of RE2, whose
    time grows with the text only: nothing looks ahead or back, and nothing refers to a group. A pattern is written
    out, best as `r'...'`, in which a backslash stays one.
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: translate, where: "matches(e.fileName, r'(scan|photo')"}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: translate, where: "matches(e.fileName, r'(scan|photo)')"}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
)
BAD_CONDITION_VALUE = rule(
    "OAF220",
    "bad-condition-value",
    "a `where` that is a mapping has a value that no entity has",
    """
    The values of entities are texts, so a number or a truth value stands in quotes. A list needs a member, and a text
    a letter. `not` is a mapping, and stands in no other.
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: translate, where: {language: [eng, '']}}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: translate, where: {language: eng}}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
)
LARGE_EXPRESSION = rule(
    "OAF221",
    "large-expression",
    "an expression is too long, or nested too deep",
    """
    An expression has at most 2,000 characters, and at most 32 levels. What is longer is a program, and belongs in a
    stage, which emits on two ports; a long list of values belongs in a param: `has(e.country, params.countries)`.
    """,
    """
    pipeline: letters
    stages:
      read:
        task: letters.read
        next:
          - index
          - to: translate
            where: "has(e.language, [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[['eng']]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]])"
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
    """
    pipeline: letters
    stages:
      read:
        task: letters.read
        next:
          - index
          - to: translate
            where: "has(e.language, 'eng')"
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
)
LOOKALIKE_NAME = rule(
    "OAF222",
    "lookalike-name",
    "a letter in an expression only looks like the one that is meant",
    """
    As with OAF127: some letters of other scripts look the same as Latin ones in most fonts. The names in an expression
    are ASCII; texts in quotes may hold any letter.
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: translate, where: "has(е.language, 'eng')"}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: translate, where: "has(e.language, 'eng')"}]}
      index: {task: letters.index}
      translate: {task: letters.translate}
    """,
)
