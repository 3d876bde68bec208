"""
Phase 0: the file, before anything in it means something.
"""

from oaflow.compiler.rules.declare import rule

UNREADABLE = rule(
    "OAF001",
    "unreadable-file",
    "the file cannot be read",
    """
    There is no such file, or you have no permission to read it. A relative path is relative to the current folder.
    """,
    """
    $ oaflow check leters.yml
    """,
    """
    $ oaflow check letters.yml
    """,
)
FOLDER = rule(
    "OAF002",
    "folder",
    "the path is a folder, but a pipeline is one file",
    """
    A pipeline is one YAML file. If the folder has several, name one of them.
    """,
    """
    $ oaflow check pipelines/
    """,
    """
    $ oaflow check pipelines/letters.yml
    """,
)
BINARY = rule(
    "OAF003",
    "binary-file",
    "the file is not text",
    """
    The file contains NUL bytes or control characters, like programs, archives and images. YAML in UTF-16 has NUL
    bytes too: save it as UTF-8.
    """,
    """
    $ oaflow check letters.zip
    """,
    """
    $ unzip letters.zip
    $ oaflow check letters.yml
    """,
)
ENCODING = rule(
    "OAF004",
    "encoding",
    "the file is not UTF-8",
    """
    Pipelines are read as UTF-8. The place is the first byte that is not; an editor that saved the file as Latin-1
    or Windows-1252 is the usual cause. `iconv -f LATIN1 -t UTF-8 FILE` converts it.
    """,
    """
    $ oaflow check letters.yml
    """,
    """
    $ iconv -f LATIN1 -t UTF-8 letters.yml > letters-utf8.yml
    $ oaflow check letters-utf8.yml
    """,
)
EMPTY = rule(
    "OAF005",
    "empty-file",
    "there is nothing in the file",
    """
    The file is empty, or holds comments only.
    """,
    """
    # a pipeline will stand here
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read}
    """,
)
TOO_LARGE = rule(
    "OAF006",
    "large-file",
    "the file is larger than 1 MiB",
    """
    A pipeline has a few hundred lines. Anything larger is data: put it in a file of its own, and its path in a
    param.
    """,
    """
    pipeline: letters
    stages:
      read:
        task: letters.read
        with: {names: [Abel, Abraham, Ada]} # and 100,000 more
    """,
    """
    pipeline: letters
    params:
      names: {type: path}
    stages:
      read:
        task: letters.read
        with: {names: "${params.names}"}
    """,
)
SYNTAX = rule(
    "OAF007",
    "syntax",
    "the file is not YAML",
    """
    The YAML parser stopped here. The usual causes: a bracket or quote that is not closed, a line that is indented
    unlike its neighbours, a value with `: ` or ` #` in it that is not in quotes, a value that starts with `@`,
    `%`, `*`, `&` or a backtick and is not in quotes.
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, next: [write}
      write: {task: notes.write}
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, next: [write]}
      write: {task: notes.write}
    """,
)
TAB = rule(
    "OAF008",
    "tab",
    "a line is indented with a tab",
    """
    YAML allows only spaces for indentation, because the width of a tab depends on the editor.
    """,
    """
    pipeline: notes
    stages:
    \tread: {task: notes.read}
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read}
    """,
)
SEVERAL_DOCUMENTS = rule(
    "OAF009",
    "several-documents",
    "the file holds more than one YAML document",
    """
    A line of `---` starts another document. One file is one pipeline.
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read}
    ---
    pipeline: letters
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read}
    """,
)
DUPLICATE_KEY = rule(
    "OAF010",
    "duplicate-key",
    "a key is given twice",
    """
    Most YAML readers silently keep the last of two equal keys, so the other has no effect. Here it is an error; both
    places are shown.
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, next: write}
      write: {task: notes.write}
      read: {task: notes.other}
    """,
    """
    pipeline: notes
    start: [read, other]
    stages:
      read: {task: notes.read, next: write}
      write: {task: notes.write}
      other: {task: notes.other}
    """,
)
TAG = rule(
    "OAF011",
    "tag",
    "a value has a YAML tag",
    """
    Tags like `!!python/object` make some readers run code, and others have a meaning in one program only. No pipeline
    needs one.
    """,
    """
    pipeline: notes
    stages:
      read: {task: !!str notes.read}
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read}
    """,
)
MERGE_KEY = rule(
    "OAF012",
    "merge-key",
    "a mapping is merged with `<<`",
    """
    Merge keys are not part of YAML 1.2, and hide what a stage consists of. What all stages share belongs under
    `defaults`.
    """,
    """
    pipeline: notes
    stages:
      read: &careful {task: notes.read, retry: 9}
      write:
        <<: *careful
        task: notes.write
    """,
    """
    pipeline: notes
    defaults: {retry: 9}
    stages:
      read: {task: notes.read, next: write}
      write: {task: notes.write}
    """,
)
ALIASES = rule(
    "OAF013",
    "aliases",
    "aliases repeat too much, or an alias contains itself",
    """
    `*name` repeats what `&name` marked. Aliases of aliases grow without bound (a file of ten lines can mean a
    billion values), so all that a file's aliases repeat is limited to 1,000 values, and no alias may be inside what
    it repeats.
    """,
    """
    pipeline: notes
    stages:
      read:
        task: notes.read
        with: &loop {again: *loop}
    """,
    """
    pipeline: notes
    stages:
      read:
        task: notes.read
        with: {again: true}
    """,
)
TOO_DEEP = rule(
    "OAF014",
    "deep-nesting",
    "lists and mappings are nested more than 64 deep",
    """
    No pipeline needs that; a file that does is broken or hostile.
    """,
    f"""
    pipeline: notes
    stages:
      read:
        task: notes.read
        with: {{deep: {"[" * 65}1{"]" * 65}}}
    """,
    """
    pipeline: notes
    stages:
      read:
        task: notes.read
        with: {deep: [[1]]}
    """,
)
BAD_KEY = rule(
    "OAF015",
    "odd-key",
    "a key is not a text",
    """
    The keys of a mapping are words. Put a number, `true` or an empty key in quotes; a list or a mapping cannot be a
    key (often it comes from a `?`, or from braces that were meant as text).
    """,
    """
    pipeline: notes
    stages:
      1: {task: notes.read}
    """,
    """
    pipeline: notes
    stages:
      first: {task: notes.read}
    """,
)
