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
    "a condition reads what is not in the job",
    """
    Entities travel between stages without their long texts (properties of FollowTheMoney's types text, html and json),
    and external stages hand over stubs. With `load: true` an edge reads the entities from the store before it decides;
    that costs a query for each job, so you have to ask for it. Only `where` sees what was read, as properties of `e`:
    `when` and `job.entities` see what the job carries.
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
    "`${params.NAME}` is used in an expression",
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
    "Python that expressions do not have",
    """
    An expression compares and asks; it does not calculate, build texts, call methods, or define anything. There is one
    generator, in `any`, `all`, `len`, `min` and `max`. Anything more belongs in a stage, which emits on two ports or
    puts a value into the context of the job.
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
    "an expression uses an unknown name",
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
    `dataset`. What stages put into the context is read as `job.context.NAME`; a missing key is empty, not a mistake.
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
    After `e.`, as keys of a `where` that is a mapping, and under `properties` of an entity in a test, use properties
    of FollowTheMoney. `e.id`, `e.schema` and `e.caption` exist, too.
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
    Names of schemata are those of FollowTheMoney. `is_a`, and `schema` in a mapping, match a schema and its
    descendants; `e.schema ==` matches only that schema.
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
    "a literal value is used as a condition",
    """
    A literal text is always true. Usually a comparison is missing, or the expression is in quotes twice.
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
    "a function, or a position in a list, gets an argument that it cannot use",
    """
    The help shows how to use the function. `len`, `any`, `all`, `min` and `max` take one list or one generator. The
    entity, the job, the params and the run are not values themselves; their fields are.
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
    "a regular expression is not valid",
    """
    `matches` finds a pattern anywhere in a text; `^` and `$` anchor it at the ends. Patterns are those of RE2, which
    runs in linear time and so has no lookahead, lookbehind or backreferences. A pattern must be a literal, best
    written as `r'...'`, which keeps backslashes.
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
    The values of entities are texts, so put numbers and booleans in quotes. Lists and texts must not be empty. `not`
    is a mapping, and cannot contain another `not`.
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
    An expression has at most 2,000 characters and 32 levels. Anything longer is a program and belongs in a stage, which
    emits on two ports; a long list of values belongs in a param: `has(e.country, params.countries)`.
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
    "a letter in an expression only looks like the intended one",
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
