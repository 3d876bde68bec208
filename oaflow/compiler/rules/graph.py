"""
Phase 3: the graph that the edges make.
"""

from oaflow.compiler.rules.declare import rule

CYCLE = rule(
    "OAF301",
    "cycle",
    "stages lead back to themselves without a limit",
    """
    Jobs would go round for ever. Where going round is meant (archives in archives, the attachments of mails), one
    edge of the cycle says how deep: `{to: STAGE, recurse: 16}`. What would go deeper is not sent, and kept under
    failures.
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
    "an edge says `recurse`, and closes no cycle",
    """
    `recurse` limits how often jobs go round. The stage that this edge leads to never leads back, so there is
    nothing to limit: either the edge that leads back is missing, or `recurse` is too much.
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
    From the start of the pipeline no `next` and no `on_error` leads here. An edge is missing, or the stage is
    left over.
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
    several: either an edge is missing, or each of them is to get the first job, which `start: [A, B]` says.
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
    "every stage is led to by another one, so no run can start",
    """
    Without `start`, a run starts at the one stage to which no other stage leads. Here each is led to, so that
    there is none.
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
    A job that fails again and again would go round for ever, and `recurse` does not count failures. A stage that
    gets failed jobs leads on to something that does not lead back.
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
    gets a copy in any case, to a stage that is always on; or, where losing it is meant, let the port be `drop`.
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
    `enabled: false` takes a stage, and what only it leads to, out of every run. Nothing of this pipeline would be
    left.
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
    A join waits for stages, and does not receive their jobs: it is called once, when nothing is open in what it
    waits for. No `next`, no `on_error` and no `start` leads to it.
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
    A join waits for the stages that it names and for all that lead to them. One that stands before them, or two that
    wait for each other, would wait for ever.
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
    "an `else` that nothing is left for",
    """
    `else` takes what no other edge of its port took. Beside an edge without a condition, which takes everything, that
    is nothing; unless that edge leads to a stage that can be disabled.
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
    `else` takes what no other edge of its port took, so that there is one at most. To send a copy of the rest to a
    second stage, let the stage that gets it hand it on.
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
    "an edge stands behind others that take all that it would",
    """
    With `choose: first` an entity goes along the first edge that takes it. Behind an edge without a condition, or
    with a wider one, there is nothing left; unless that edge leads to a stage that can be disabled.
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
    All keys of a mapping must hold. Here no schema of FollowTheMoney has all the properties, or is all of what is asked
    for at once.
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
