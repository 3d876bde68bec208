"""
What is offered, shown, found and renamed in a pipeline file. `|` is the cursor.
"""

import pytest

from oaflow.compiler.functions import Inspected, Parameter
from oaflow.editors.completing import offers
from oaflow.editors.documents import Document
from oaflow.editors.hovering import shown_at
from oaflow.editors.renaming import declaration, references, renamed
from oaflow.errors import UsageError
from oaflow.model import StageOptions

FUNCTIONS = {
    "letters.read": Inspected(
        StageOptions(ports=("default", "pictures"), emits=("Document",)),
        parameters=(Parameter("job"), Parameter("source", required=True), Parameter("depth", annotation="int")),
        doc="Read letters.",
        file="/somewhere/letters.py",
        line=7,
    ),
    "letters.index": Inspected(StageOptions(accepts=("Email", "Image")), parameters=(Parameter("job"),)),
}

LETTERS = """\
pipeline: letters
params:
  language: {default: eng, help: What readers understand}
  depth: {type: int}
stages:
  read:
    task: letters.read
    with: {source: "${params.language}"}
    next:
      default: [{to: index, where: {schema: [Email, Image]}}, sort]
      pictures: {to: sort, when: "job.context.error.stage == 'read'"}
    on_error: sort
  'sort':
    task: letters.sort
    next: {to: index, where: "others(e.detectedLanguage, params.language)"}
  index: {task: letters.index, description: Makes it searchable}
  report: {task: letters.report, join: [read, "index"]}
tests:
  - {at: sort, job: {entities: [{schema: Email, properties: {detectedLanguage: rus}}]}, expect: {index: 1}}
"""


def _at(text: str) -> tuple[Document, int]:
    offset = text.index("|")
    return Document(text[:offset] + text[offset + 1 :], "letters.yml", functions=FUNCTIONS), offset


def _typed(before: str, after: str = "") -> list[str]:
    """
    The names that are offered where something is typed in the stage `sort`.
    """
    text = LETTERS.replace(
        '    next: {to: index, where: "others(e.detectedLanguage, params.language)"}\n', f"{before}|{after}\n"
    )
    return [one.name for one in offers(*_at(text))]


@pytest.mark.parametrize(
    ("before", "some", "never"),
    [
        ("    ", {"queue", "next", "retry"}, {"task", "to", "stages"}),
        ("    ne", {"next", "memory"}, {"task", "max"}),
        ("    retry: {", {"max", "backoff"}, {"size"}),
        ("    emit: ", {"success", "stream", "always"}, {"sort"}),
        ("    external: ", {"true", "false"}, {"yes"}),
        ("    next: in", {"read", "sort", "index", "report"}, {"to"}),
        ("    next:\n      ", {"to", "default", "index"}, {"pictures", "drop"}),
        ("    next:\n      default: ", {"index", "drop"}, {"run"}),
        ("    next: {to: ", {"index"}, {"drop", "to"}),
        ("    next: {to: index, ", {"where", "when", "else"}, {"to", "default"}),
        ("    next: [index, {to: ", {"index"}, {"drop"}),
        ("    join: ", {"run", "read"}, {"drop"}),
        ("    on_error: ", {"read"}, {"drop", "run"}),
        ("    next: {to: index, where: {", {"schema", "not", "language", "detectedLanguage"}, {"recurse"}),
        ("    next: {to: index, where: {schema: ", {"Email", "Document"}, {"language"}),
        ("    next: {to: index, where: {schema: [Email, ", {"Email", "Document"}, {"language"}),
        ('    next: {to: index, where: "', {"e", "job", "params", "has", "is_a"}, {"language"}),
        ('    next: {to: index, where: "has(e.', {"language", "schema", "id"}, {"has", "e"}),
        ('    next: {to: index, where: "any(x.', {"language"}, {"has"}),
        ('    next: {to: index, where: "others(e.language, params.', {"language", "depth"}, {"e"}),
        ("    next: {to: index, where: \"others(e.language, params['", {"language", "depth"}, {"e"}),
        ('    next: {to: index, when: "params[\\"lan', {"language", "depth"}, {"job"}),
        ("    next: {to: index, when: 'params[ \"", {"language", "depth"}, {"job"}),
        ("    next:\n      to: index\n      when: params['", {"language", "depth"}, {"job"}),
        ('    next:\n      to: index\n      when: >\n        job.context.a\n        or params["', {"depth"}, {"job"}),
        ("    enabled: \"not params['", {"language", "depth"}, {"job"}),
        ("    next: {to: index, where: \"has(e['", {"from", "language", "schema"}, {"e", "has"}),
        ('    next: {to: index, where: "has(e.', {"language"}, {"from"}),
        ("    next: {to: index, when: \"job['", {"context", "entities"}, {"language"}),
        ("    next: {to: index, where: \"is_a(e, '", {"Email"}, {"e", "language"}),
        ("    next: {to: index, where: \"e.schema == '", {"Email"}, {"e", "language"}),
        ('    next: {to: index, when: "', {"job", "params", "run"}, {"e"}),
        ('    next: {to: index, when: "job.', {"context", "entities"}, {"language"}),
        ('    enabled: "', {"params"}, {"job", "e"}),
        ("    enabled: ", {"params.language", "true"}, {"e"}),
        ('    with: {a: "${', {"params.language", "params.depth"}, {"e"}),
        ("    next: {to: index, port: ", {"default"}, {"pictures", "index"}),
    ],
)
def test_what_fits_is_offered_and_nothing_else(before: str, some: set[str], never: set[str]):
    found = _typed(before)

    assert some <= set(found), found
    assert not never & set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    "before",
    [
        '    next: {to: index, when: "job.context.a == \\"params[\'',
        "    next: {to: index, when: \"job.context.params['",
        "    next: {to: index, when: \"params['depth'] == '",
        "    # ne",
        "    next: {to: index, where: \"has(e.language, 'e",
        "    timeout: ",
        "    task: ",
    ],
)
def test_where_nothing_is_known_nothing_is_offered(before: str):
    assert _typed(before) == []


@pytest.mark.parametrize(
    ("text", "some", "never"),
    [
        (LETTERS.replace("with: {source", "with: {|source"), {"depth"}, {"job"}),
        (LETTERS.replace("with: {source: ", "with: {source: 1, |: "), {"depth"}, {"source"}),
        (LETTERS.replace("sort, when", "sort, port: |, when"), {"default", "pictures"}, {"sort"}),
        (LETTERS.replace("at: sort, job", "at: read, port: |, job"), {"default", "pictures"}, {"sort"}),
        (LETTERS.replace("      pictures: {", "      |pictures: {"), set(), {"default"}),
        (LETTERS.replace("expect: {index", "expect: {|index"), {"sort", "read"}, set()),
        (LETTERS.replace("expect: {index: 1", "expect: {index: 1, |"), {"sort", "read"}, {"index"}),
        (LETTERS.replace("at: sort, job", "at: sort, p|, job"), {"port", "params"}, {"at"}),
        (LETTERS.replace("at: sort, job", "at: sort, params: {|}, job"), {"language"}, {"at"}),
        (LETTERS.replace("schema: Email", "schema: |"), {"Email"}, {"language"}),
        (LETTERS.replace("properties: {detected", "properties: {|detected"), {"subject", "language"}, {"isin"}),
        (LETTERS.replace("depth: {type: int", "depth: {type: |"), {"int", "duration"}, {"depth"}),
        (LETTERS.replace("pipeline: letters\n", "pipeline: letters\nd|\n"), {"description", "defaults"}, {"pipeline"}),
    ],
)
def test_the_other_parts_of_a_file_are_known_too(text: str, some: set[str], never: set[str]):
    found = {one.name for one in offers(*_at(text))}

    assert some <= found
    assert not never & found


def test_an_offer_takes_the_place_of_what_is_typed():
    (offer,) = (
        one for one in offers(*_at(LETTERS.replace("next: {to: index", "next: {to: ind|"))) if one.name == "index"
    )
    assert (offer.written, offer.help) == (3, "Makes it searchable")

    document, offset = _at(LETTERS.replace("e.detectedLanguage, params.language", "e.schema == 'Ema|"))
    assert {one.written for one in offers(document, offset)} == {3}

    document, offset = _at(LETTERS.replace('"${params.language}"', '"${pa|}"'))
    assert [one.inserted for one in offers(document, offset)] == ["params.language", "params.depth"]
    assert list(offers(*_at(LETTERS.replace('"${params.language}"', '"$${pa|}"')))) == []


def _shown(text: str) -> str:
    found = shown_at(*_at(text))
    return "" if found is None else found.text


def test_a_key_says_what_it_means():
    assert _shown(LETTERS.replace("on_error", "on_|error")).startswith("**on_error**\n\nThe stage that gets jobs")
    assert "sorted" not in _shown(LETTERS.replace("on_error", "on_|error"))
    assert "Port `pictures`" in _shown(LETTERS.replace("pictures", "pict|ures"))


def test_an_edge_says_what_flows_along_it():
    shown = _shown(LETTERS.replace("[{to: index", "[{to: in|dex"))

    assert shown.startswith("`read` → `index`: Email, Image, where `schema` is Email or Image\n")
    # The stage that it leads to, with all that comes there.
    assert "**index** `letters.index`\n\nMakes it searchable" in shown
    assert "- from `sort`: all that it returns, where `others(e.detectedLanguage, params.language)`" in shown
    assert "`index` accepts Email, Image" in shown


@pytest.mark.parametrize(
    ("edge", "said"),
    [
        ("pictures: {to: i|ndex}", "Document on port `pictures`"),
        ("default: {to: i|ndex, when: job.context.urgent}", "when `job.context.urgent`"),
        ("default: [{to: sort, when: job.context.urgent}, {to: i|ndex, else: true}]", "what no other edge took"),
        ("default: {to: re|ad, recurse: 3}", "at most 3 deep"),
    ],
)
def test_an_edge_says_its_port_and_its_conditions(edge: str, said: str):
    text = f"""oaflow: 1
pipeline: p
stages:
  read:
    task: letters.read
    on_error: index
    next: {{{edge}}}
  sort: {{task: letters.sort}}
  index: {{task: letters.index}}
"""
    shown = _shown(text)

    assert said in shown.partition("\n")[0]
    assert "re|ad" in edge or "- from `read`: what failed" in shown


def test_names_in_expressions_and_functions_say_what_they_are():
    assert _shown(LETTERS.replace("e.detectedLanguage, p", "e.detected|Language, p")).startswith(
        "**detectedLanguage**: language"
    )
    assert "What readers understand" in _shown(LETTERS.replace("params.language)", "params.lang|uage)"))
    assert "others(" in _shown(LETTERS.replace("others(", "oth|ers("))
    assert "Read letters." in _shown(LETTERS.replace("letters.read", "letters.re|ad"))
    assert "Descends from" in _shown(LETTERS.replace("{schema: Email", "{schema: Em|ail"))
    assert "Ports: `default`, `pictures`" in _shown(LETTERS.replace("letters.read", "letters.re|ad"))
    assert "string, `eng` where a run says nothing" in _shown(LETTERS.replace("params.language)", "params.lang|uage)"))
    assert _shown(LETTERS.replace("{source:", "{source: x, dep|th:")) == "`depth: int`"
    assert _shown(LETTERS.replace("pipeline: letters", "pipeline: let|ters")) == ""


def test_a_property_says_who_has_it_and_whether_it_travels():
    body, name = (
        _shown(LETTERS.replace("e.detectedLanguage, p", f"e.{written}, p")) for written in ("body|Text", "stat|us")
    )

    assert "Of Document, Page, and all that descend from them.\n\nIt stays in the store" in body
    assert "`load: true`" in body
    assert "stays in the store" not in name
    assert " and 2 more, and all that descend" in name


def test_what_a_mapping_leaves_out_is_said():
    edge = "where: {schema: [Email, Image], not: {language: rus}}"
    shown = _shown(LETTERS.replace("where: {schema: [Email, Image]}", edge).replace("[{to: index", "[{to: in|dex"))

    assert "`schema` is Email or Image and not (`language` is rus)" in shown


def test_drop_is_no_name_of_a_stage():
    text = LETTERS.replace("pictures: {to: sort, when: \"job.context.error.stage == 'read'\"}", "pictures: dr|op")

    assert references(*_at(text)) == []


def test_what_is_declared_is_found():
    document, offset = _at(LETTERS.replace("on_error: sort", "on_error: so|rt"))
    found = declaration(document, offset)
    assert found is not None
    assert document.source[slice(*found.ends)] == "sort"
    assert document.source[: found.ends[0]].endswith("  '")

    document, offset = _at(LETTERS.replace("params.language)", "params.lang|uage)"))
    found = declaration(document, offset)
    assert found is not None
    assert document.source[slice(*found.ends)] == "language"

    found = declaration(*_at(LETTERS.replace("task: letters.read", "task: letters.r|ead")))
    assert found is not None
    assert (str(found.file), found.line) == ("/somewhere/letters.py", 7)
    assert declaration(*_at(LETTERS.replace("task: letters.sort", "task: letters.s|ort"))) is None


def _renamed(text: str, new: str) -> str:
    document, offset = _at(text)
    source = document.source
    for start, end in sorted(renamed(document, offset, new), reverse=True):
        source = source[:start] + new + source[end:]
    return source


@pytest.mark.parametrize("at", ["|read:\n    task", "join: [|read", "== '|read'"])
def test_a_stage_is_renamed_wherever_it_is_named(at: str):
    after = _renamed(LETTERS.replace(at.replace("|", ""), at, 1), "open")

    expected = LETTERS.replace("  read:\n", "  open:\n").replace("[read,", "[open,").replace("== 'read'", "== 'open'")
    assert after == expected


def test_quotes_and_tests_are_renamed_too():
    assert _renamed(LETTERS.replace("at: sort", "at: so|rt"), "put") == LETTERS.replace("sort,", "put,").replace(
        "sort}", "put}"
    ).replace("on_error: sort", "on_error: put").replace("'sort'", "'put'").replace(", sort]", ", put]")
    assert _renamed(LETTERS.replace("expect: {index", "expect: {ind|ex"), "shelf").count("shelf") == 5


def test_the_renamed_pipeline_is_the_same_but_for_the_name():
    before, after = Document(LETTERS), Document(_renamed(LETTERS.replace("at: sort", "at: so|rt"), "put"))

    assert before.checked.errors == after.checked.errors == []
    assert [one.span.line for one in after.named] == [one.span.line for one in before.named]


@pytest.mark.parametrize(
    "written",
    [
        # An expression over several lines, each as YAML has it.
        "|\n          job.context.n or\n          job.context.error.stage == 'read'\n        to: sort",
        ">\n          job.context.n or\n          job.context.error.stage == 'read'\n        to: sort",
        "\"'ß' == job.context.n or\n          job.context.error.stage in ('sorted', 'read')\"\n        to: sort",
    ],
)
def test_a_stage_is_renamed_in_each_line_of_an_expression(written: str):
    edge = """{to: sort, when: "job.context.error.stage == 'read'"}"""
    text = LETTERS.replace(edge, f"\n      - when: {written}").replace("  read:\n", "  re|ad:\n")

    assert "'open'" in _renamed(text, "open")
    assert "'read'" not in _renamed(text, "open")


def test_what_is_put_together_of_pieces_is_not_torn():
    text = LETTERS.replace("== 'read'", "== 're' 'ad'").replace("  read:\n", "  re|ad:\n")

    assert "== 're' 'ad'" in _renamed(text, "open")


def test_what_aliases_repeat_is_renamed_once_and_keeps_its_anchor():
    text = LETTERS.replace("on_error: sort", "on_error: &last sort").replace("[read,", "[read, *last,")
    document, offset = _at(text.replace("at: sort", "at: so|rt"))
    places = renamed(document, offset, "put")

    assert len(places) == len(set(places))
    assert "on_error: &last put\n" in _renamed(text.replace("at: sort", "at: so|rt"), "put")


@pytest.mark.parametrize(
    ("text", "new", "said"),
    [
        (LETTERS.replace("at: sort", "at: so|rt"), "index", "there is a stage 'index' already"),
        (LETTERS.replace("at: sort", "at: so|rt"), "Sort", "is not a valid name for a stage"),
        (LETTERS.replace("at: sort", "at: so|rt"), "drop", "is a reserved word"),
        (LETTERS.replace("at: sort", "at: so|rt"), "s" * 61, "is not a valid name for a stage"),
        (LETTERS.replace("at: sort", "at: so|rt"), "true", "'true' needs quotes to be a text"),
        (LETTERS.replace("  depth:", "  d|epth:"), "null", "'null' needs quotes to be a text"),
        (
            LETTERS.replace("  depth:", "  d|epth:"),
            "class",
            "'class' is a keyword of Python, so it cannot be a name in an expression",
        ),
        (LETTERS.replace("pipeline: l", "pipeline: |l"), "put", "no stage or param is named here"),
        (LETTERS.replace("at: sort", "at: so|rt") + "x: [", "put", "cannot be read as YAML now"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused_with_the_reason(text: str, new: str, said: str):
    with pytest.raises(UsageError, match=said):
        renamed(*_at(text), new)


@pytest.mark.parametrize("at", ["|language: {default", "${params.langu|age}", "params.|language)", "{lan|guage: rus}"])
def test_a_param_is_renamed_wherever_it_is_read(at: str):
    text = LETTERS.replace("at: sort, job", "at: sort, params: {language: rus}, job")
    after = _renamed(text.replace(at.replace("|", ""), at, 1), "tongue")

    assert after.count("tongue") == 4
    assert "language" not in after.replace("detectedLanguage", "")


def test_what_only_looks_like_a_param_stays():
    text = LETTERS.replace("== 'read'", "== 'params.depth' and params.depth > 1").replace("  depth:", "  d|epth:")

    assert "== 'params.depth' and params.depths > 1" in _renamed(text, "depths")
    text = LETTERS.replace('"${params.language}"', '"$${params.language}"').replace("  language: {", "  lan|guage: {")
    assert '"$${params.language}"' in _renamed(text, "tongue")


@pytest.mark.parametrize(
    "written", ["params['depth'] > 1", 'params[ \\"depth\\" ] > 1', "params['depth'] != 'params.depth'"]
)
def test_a_param_is_renamed_where_it_is_written_in_brackets(written: str):
    text = LETTERS.replace("job.context.error.stage == 'read'", written).replace("  depth:", "  d|epth:")

    assert written.replace("depth", "level", 1) in _renamed(text, "level")


def test_a_param_and_a_stage_of_one_name_are_two_things():
    text = LETTERS.replace("  depth:", "  sort:").replace("at: sort", "at: so|rt")

    assert "  sort: {type: int}" in _renamed(text, "put")


def test_all_references_are_listed():
    document, offset = _at(LETTERS.replace("at: sort", "at: so|rt"))

    assert len(references(document, offset)) == 5
    assert len(references(document, offset, declared=False)) == 4
