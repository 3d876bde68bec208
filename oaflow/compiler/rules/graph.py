"""
Phase 3: the graph that the edges make.
"""

from oaflow.compiler.rules.declare import rule

CYCLE = rule(
    "OAF301",
    "cycle",
    "stages lead back to themselves without a limit",
    """
    Jobs would cycle for ever. If a cycle is intended (archives in archives, attachments of mails), set a depth on one
    of its edges: `{to: STAGE, recurse: 16}`. A job that would go deeper fails instead.
    """,
    """
    pipeline: letters
    stages:
      crawl: {task: letters.crawl, next: extract}
      extract: {task: letters.extract, next: [index, extract]}
      index: {task: letters.index}
    """,
    """
    pipeline: letters
    stages:
      crawl: {task: letters.crawl, next: extract}
      extract: {task: letters.extract, next: [index, {to: extract, recurse: 16}]}
      index: {task: letters.index}
    """,
)
IDLE_RECURSE = rule(
    "OAF302",
    "recurse-without-cycle",
    "an edge has `recurse`, but closes no cycle",
    """
    `recurse` limits how often jobs go round a cycle. The stage that this edge leads to never leads back, so there is
    nothing to limit: either the edge that leads back is missing, or `recurse` should go.
    """,
    """
    pipeline: letters
    stages:
      extract: {task: letters.extract, next: {to: index, recurse: 16}}
      index: {task: letters.index}
    """,
    """
    pipeline: letters
    stages:
      extract: {task: letters.extract, next: index}
      index: {task: letters.index}
    """,
)
UNREACHABLE = rule(
    "OAF303",
    "unreachable-stage",
    "no run reaches a stage",
    """
    No chain of `next` and `on_error` leads here from the start of the pipeline. Either an edge is missing, or the stage
    is left over.
    """,
    """
    pipeline: letters
    start: read
    stages:
      read: {task: letters.read, next: index}
      index: {task: letters.index}
      translate: {task: letters.translate, next: index}
    """,
    """
    pipeline: letters
    start: read
    stages:
      read: {task: letters.read, next: [index, translate]}
      index: {task: letters.index}
      translate: {task: letters.translate, next: index}
    """,
)
SEVERAL_ENTRIES = rule(
    "OAF304",
    "several-entries",
    "a run could start at several stages",
    """
    Without `start`, a run starts at the one stage to which no `next` and no `on_error` leads. Here there are
    several: either an edge is missing, or each of them should get the first job: write `start: [A, B]`.
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: index}
      scan: {task: letters.scan, next: index}
      index: {task: letters.index}
    """,
    """
    pipeline: letters
    start: [read, scan]
    stages:
      read: {task: letters.read, next: index}
      scan: {task: letters.scan, next: index}
      index: {task: letters.index}
    """,
)
NO_ENTRY = rule(
    "OAF305",
    "no-entry",
    "some edge leads to every stage, so no run can start",
    """
    Without `start`, a run starts at the one stage that no other stage leads to. Here there is none.
    """,
    """
    pipeline: letters
    stages:
      unpack: {task: letters.unpack, next: sort}
      sort: {task: letters.sort, next: {to: unpack, recurse: 8}}
    """,
    """
    pipeline: letters
    start: unpack
    stages:
      unpack: {task: letters.unpack, next: sort}
      sort: {task: letters.sort, next: {to: unpack, recurse: 8}}
    """,
)
ERROR_CYCLE = rule(
    "OAF306",
    "error-cycle",
    "an `on_error` leads back to the stage that failed",
    """
    A job that keeps failing would cycle for ever, because `recurse` does not count failures. A stage that gets failed
    jobs must not lead back.
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: index, on_error: mend}
      mend: {task: letters.mend, next: index}
      index: {task: letters.index, on_error: mend}
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: index, on_error: mend}
      mend: {task: letters.mend, next: index}
      index: {task: letters.index}
    """,
)
ONLY_DISABLED = rule(
    "OAF307",
    "port-to-disabled",
    "a port leads only to stages that can be disabled",
    """
    When these stages are disabled, what is emitted on this port has nowhere to go. Add an edge with `else`, or one that
    always gets a copy, to a stage that is always on; or, if losing it is fine, write `drop` for the port.
    """,
    """
    pipeline: letters
    params: {translate: {type: bool, default: false}}
    stages:
      read: {task: letters.read, next: translate}
      translate: {task: letters.translate, enabled: params.translate, next: index}
      index: {task: letters.index}
    """,
    """
    pipeline: letters
    params: {translate: {type: bool, default: false}}
    stages:
      read: {task: letters.read, next: [translate, {to: index, else: true}]}
      translate: {task: letters.translate, enabled: params.translate, next: index}
      index: {task: letters.index}
    """,
)
START_DISABLED = rule(
    "OAF308",
    "start-disabled",
    "every stage that a run starts at is disabled",
    """
    `enabled: false` removes a stage, and what only it leads to, from every run. Here no stage would be left.
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, enabled: false, next: index}
      index: {task: letters.index}
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: index}
      index: {task: letters.index}
    """,
)
EDGE_TO_JOIN = rule(
    "OAF309",
    "edge-to-join",
    "something leads to a join",
    """
    A join waits for stages and does not receive their jobs: it runs once, when no job is open in the stages that it
    waits for. No `next`, `on_error` or `start` may lead to it.
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: report}
      report: {task: letters.report, join: run}
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read}
      report: {task: letters.report, join: run}
    """,
)
JOIN_OF_ITSELF = rule(
    "OAF310",
    "join-of-itself",
    "a join waits for what comes after it",
    """
    A join waits for the stages that it names and for all that lead to them. A join that leads to one of them, or two
    joins that wait for each other, would wait for ever.
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read}
      sum: {task: letters.sum, join: [report], next: report}
      report: {task: letters.report}
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read}
      sum: {task: letters.sum, join: [read], next: report}
      report: {task: letters.report}
    """,
)
IDLE_ELSE = rule(
    "OAF311",
    "idle-else",
    "an `else` has nothing left to take",
    """
    `else` takes what no other edge of its port took. An edge without a condition takes everything, so nothing is left,
    unless that edge leads to a stage that can be disabled.
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: ask, else: true}]}
      index: {task: letters.index}
      ask: {task: letters.ask}
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [{to: index, where: {schema: Document}}, {to: ask, else: true}]}
      index: {task: letters.index}
      ask: {task: letters.ask}
    """,
)
SEVERAL_ELSE = rule(
    "OAF312",
    "several-else",
    "a port has several edges with `else`",
    """
    `else` takes what no other edge of its port took, so a port has at most one. To send the rest to a second stage as
    well, let the first stage hand it on.
    """,
    """
    pipeline: letters
    stages:
      read:
        task: letters.read
        next: [{to: index, where: {schema: Document}}, {to: ask, else: true}, {to: keep, else: true}]
      index: {task: letters.index}
      ask: {task: letters.ask}
      keep: {task: letters.keep}
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [{to: index, where: {schema: Document}}, {to: ask, else: true}]}
      index: {task: letters.index}
      ask: {task: letters.ask, next: keep}
      keep: {task: letters.keep}
    """,
)
NEVER_TAKEN = rule(
    "OAF313",
    "edge-never-taken",
    "an edge comes after others that take everything it could take",
    """
    With `choose: first`, an entity takes the first edge that matches. After an edge without a condition, or with a
    wider one, nothing is left, unless that edge leads to a stage that can be disabled.
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, choose: first, next: [index, {to: ask, where: {schema: Email}}]}
      index: {task: letters.index}
      ask: {task: letters.ask}
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, choose: first, next: [{to: ask, where: {schema: Email}}, index]}
      index: {task: letters.index}
      ask: {task: letters.ask}
    """,
)
IDLE_CHOOSE = rule(
    "OAF314",
    "idle-choose",
    "`choose: first` where there is nothing to choose",
    """
    `choose: first` tries the edges of a port in their order. It needs a port with several edges and a condition,
    `when` or `where`.
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, choose: first, next: index}
      index: {task: letters.index}
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: index}
      index: {task: letters.index}
    """,
)
NO_SCHEMA = rule(
    "OAF315",
    "no-such-entity",
    "a `where` that no entity can pass",
    """
    All keys of a mapping must hold. Here no schema of FollowTheMoney has all the properties, or is all of the schemata
    at once.
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: people, where: {schema: Person, fileName: "*.vcf"}}]}
      index: {task: letters.index}
      people: {task: letters.people}
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, next: [index, {to: people, where: {schema: Document, fileName: "*.vcf"}}]}
      index: {task: letters.index}
      people: {task: letters.people}
    """,
)
