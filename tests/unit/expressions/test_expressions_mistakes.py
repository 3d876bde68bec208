"""
What is told of an expression that is wrong: the kind of mistake, the piece of it, and the way out.
"""

import pytest

from oaflow.expressions import ExpressionError, compile_expression, of_param

PARAMS = {"target_lang": "string", "langs": "list", "ocr": "bool", "size": "int"}
PARAMS = {name: of_param(kind) for name, kind in PARAMS.items()}
PARAMS |= {"mode": of_param("choice", ("quick", "full", "4")), "kinds": of_param("list", ("a", "b"))}


def told(source, kind="where", params=PARAMS):
    with pytest.raises(ExpressionError) as raised:
        compile_expression(source, kind, params)
    return [
        (mistake.kind, source[mistake.offset : mistake.offset + mistake.length], mistake.help)
        for mistake in raised.value.mistakes
    ]


@pytest.mark.parametrize(
    ("source", "kind", "piece", "help"),
    [
        # Properties are lists of texts.
        ('e.language == "eng"', "list-compared", 'e.language == "eng"', 'has(e.language, "eng")'),
        ('"eng" == e.language', "list-compared", '"eng" == e.language', 'has(e.language, "eng")'),
        ('e.language == ["a", "b"]', "list-compared", 'e.language == ["a", "b"]', 'has(e.language, "a", "b")'),
        ("e.language == None", "list-compared", "e.language == None", "not e.language"),
        ("e.language is None", "list-compared", "e.language is None", "not e.language"),
        ("e.language != []", "list-compared", "e.language != []", "e.language"),
        ("e.fileSize > 100", "list-compared", "e.fileSize > 100", "number(e.fileSize) > 100"),
        ("100 > e.fileSize", "list-compared", "100 > e.fileSize", "number(e.fileSize) < 100"),
        ('e.date >= "2020"', "list-compared", 'e.date >= "2020"', 'max(e.date) >= "2020"'),
        ('e.language in ["a", "b"]', "list-compared", 'e.language in ["a", "b"]', 'has(e.language, "a", "b")'),
        ('e.language not in ("a",)', "list-compared", 'e.language not in ("a",)', 'lacks(e.language, "a")'),
        ("e.name[0]", "list-compared", "0", 'has(e.name, "...")'),
        ('lower(e.name) == "x"', "list-compared", 'lower(e.name) == "x"', 'has(lower(e.name), "x")'),
        # Names.
        ("e.fileNme", "unknown-property", "fileNme", "did you mean 'fileName'?"),
        ('e["form"]', "unknown-property", '"form"', "did you mean 'from'?"),
        ('has(e.from, "x")', "syntax", "from", 'in brackets: e["from"]'),
        ("job.context.mail.class == 'a.is b'", "syntax", "class", 'in brackets: job.context.mail["class"]'),
        ("e.properties.name", "unknown-property", "properties", "e.NAME reads a property"),
        ('is_a(e, "Docment")', "unknown-schema", '"Docment"', "did you mean 'Document'?"),
        ('e.schema == "Docment"', "unknown-schema", '"Docment"', "did you mean 'Document'?"),
        ('e.schema in ("Email", "Docment")', "unknown-schema", '"Docment"', "did you mean 'Document'?"),
        ('has(e.schema, "Docment")', "unknown-schema", '"Docment"', "did you mean 'Document'?"),
        ("params.target", "unknown-param", "target", "did you mean 'target_lang'?"),
        ('params["zzz"]', "unknown-param", '"zzz"', "the params are: target_lang, langs, ocr, size, mode, kinds"),
        ("job.contxt.ocr", "unknown-field", "contxt", "did you mean 'context'?"),
        ("job.ocr", "unknown-field", "ocr", "what stages put into the context is job.context.ocr"),
        ("run.name", "unknown-field", "name", "it has: id, pipeline, dataset"),
        ("language", "unknown-name", "language", "write e.language"),
        ("ocr", "unknown-name", "ocr", "write params.ocr"),
        ("is_a(e, Document)", "unknown-name", "Document", 'put a text in quotes: "Document"'),
        ("true", "unknown-name", "true", "write True"),
        ("e.caption == null", "unknown-name", "null", "write None"),
        ("_x", "not-allowed", "_x", None),
        ("jobs.context", "unknown-name", "jobs", "did you mean 'job'?"),
        ('hass(e.name, "x")', "unknown-function", "hass", "did you mean 'has'?"),
        ("int(e.fileSize) > 3", "unknown-function", "int", "number(e.fileSize)"),
        # Never, and always.
        ('e.schema == "Thing"', "never", '"Thing"', 'is_a(e, "Thing")'),
        ("e.schema == 3", "never", "e.schema == 3", "number(e.schema)"),
        ('number(e.fileSize) > "3"', "never", 'number(e.fileSize) > "3"', "without quotes: 3"),
        ("e.id == None", "never", "e.id == None", None),
        ("params.size > None", "never", "params.size > None", None),
        ("has(e.language, 3)", "never", "3", "in quotes: '3'"),
        ("3 in e.language", "never", "3 in e.language", "in quotes: '3'"),
        ('params.langs == "eng"', "never", 'params.langs == "eng"', '"eng" in params.langs'),
        ("1 in {1} == True", "never", "1 in {1} == True", "write a list: [...]"),
        ('e.schema == "Email" or "Page"', "always", '"Page"', 'e.schema in ("Email", "Page")'),
        ("'e.name'", "always", "'e.name'", None),
        ("not ['a']", "always", "['a']", None),
        ('e.schema != "Email" or "Page"', "always", '"Page"', 'e.schema not in ("Email", "Page")'),
        # Choices.
        ("params.mode == 'ful'", "never", "'ful'", "did you mean 'full'?"),
        ("'x' != params.mode", "never", "'x'", "its choices are: quick, full, 4"),
        ("params.mode == 4", "never", "4", "in quotes: '4'"),
        ("params.mode in ['full', 'quik']", "never", "'quik'", "did you mean 'quick'?"),
        ("(params.mode if params.ocr else params.mode) == 'x'", "never", "'x'", "its choices are: quick, full, 4"),
        ("'c' in params.kinds", "never", "'c'", "its choices are: a, b"),
        ("has(params.kinds, 'a', 'c')", "never", "'c'", "its choices are: a, b"),
        ("any(kind == 'c' for kind in params.kinds)", "never", "'c'", "its choices are: a, b"),
        # Arguments.
        ('e.schema in ("Email")', "wrong-argument", 'e.schema in ("Email")', 'e.schema == "Email"'),
        ("max(x for x in job.entities)", "wrong-argument", "x", "name one of its fields"),
        ("job.entities.name", "unknown-field", "name", "any(x.name ... for x in job.entities)"),
        ("e.name.first", "unknown-field", "first", None),
        ("has(e.language)", "wrong-argument", "has(e.language)", 'has(e.language, "eng")'),
        ("lower(3)", "wrong-argument", "3", "in quotes: '3'"),
        ("len(3)", "wrong-argument", "3", None),
        ("min(1, 2) > 0", "wrong-argument", "min(1, 2)", "min([1, 2])"),
        ('is_a(job, "Document")', "wrong-argument", "job", 'is_a(e, "Document")'),
        ("e", "wrong-argument", "e", "name a field: e.NAME"),
        ("any(x for x in e.schema)", "wrong-argument", "e.schema", None),
        ("len({e.name})", "wrong-argument", "e.name", None),
        # Patterns.
        ('matches(e.fileName, "(")', "bad-pattern", '"("', None),
        ('matches(e.fileName, "\\b")', "bad-pattern", '"\\b"', 'put an r before the quotes: r"\\b"'),
        ("matches(e.fileName, params.target_lang)", "bad-pattern", "params.target_lang", 'matches(e.fileName, r"...")'),
        # Python that is not here.
        (
            "e.fileSize + 1",
            "not-allowed",
            "e.fileSize + 1",
            "calculate it in a stage, and put the result into the context",
        ),
        ("e.name.lower()", "not-allowed", "lower", "lower(e.name)"),
        ('e.name.startswith("x")', "not-allowed", "startswith", 'startswith(e.name, "x")'),
        ('job.context.get("x")', "not-allowed", "get", 'job.context["x"]'),
        ('e.schema is "Email"', "not-allowed", 'e.schema is "Email"', "compare with =="),
        ("[x for x in e.name]", "not-allowed", "[x for x in e.name]", "any(TEST for x in LIST)"),
        # Not to be read.
        ('e.schema == "Email" && True', "syntax", "&&", "write 'and'"),
        ('e.schema = "Email"', "syntax", "=", "write '=='"),
        ("!e.name", "syntax", "!", "write 'not'"),
        ("a, b", "syntax", "a, b", "[a, b]"),
        ("e.name and", "syntax", "d", None),
        ("has(e.name, 'x'", "syntax", "(", None),
        ("'abc", "syntax", "'", None),
        ("has(e.language 'eng')", "syntax", "e.language 'eng'", None),
        ("e.name ? 1 : 2", "syntax", "?", "write 'A if TEST else B'"),
        ("  ", "syntax", "", "leave out the key, or write an expression"),
        # References.
        ("${params.ocr}", "interpolation", "${params.ocr}", "write params.ocr"),
        ("has(e.language, '${params.x}')", "interpolation", "${params.x}", "write params.x"),
        ("params.ocr and ${ocr}", "interpolation", "${ocr}", "write params.NAME"),
        # Letters that look like others.
        ("е.schema", "lookalike", "е", "write e"),
        ("e.fileNаme", "lookalike", "fileNаme", "write fileName"),
        ("ｅ.schema", "lookalike", "ｅ", "write e"),
        ("haſ(e.name, 'x')", "lookalike", "haſ", "write has"),
    ],
)
def test_a_mistake_has_a_kind_a_place_and_a_way_out(source, kind, piece, help):
    assert told(source) == [(kind, piece, help)]


@pytest.mark.parametrize(
    ("source", "kind", "name"),
    [
        ("e.name", "when", "e"),
        ("e.name", "lock", "e"),
        ("job.queue", "enabled", "job"),
        ("run.id", "enabled", "run"),
    ],
)
def test_each_key_knows_its_own_names(source, kind, name):
    assert [(found, piece) for found, piece, _ in told(source, kind)] == [("unknown-name", name)]


def test_all_mistakes_are_told_each_once():
    source = 'is_a(e, "Docment") and e.fileNme and e.language == params.target and job.foo'

    assert [(kind, piece) for kind, piece, _ in told(source)] == [
        ("unknown-schema", '"Docment"'),
        ("unknown-property", "fileNme"),
        ("unknown-param", "target"),
        ("unknown-field", "foo"),
    ]


def test_places_count_characters_in_several_lines_of_any_script():
    source = '\n  has(e.name, "Зю́гино", "東京")\n    and e.fileNme\n'

    assert told(source) == [("unknown-property", "fileNme", "did you mean 'fileName'?")]


@pytest.mark.parametrize(
    "source",
    ["not " * 400 + "e.name", "(" * 300 + "1" + ")" * 300, "[" * 50 + "]" * 50, "e.name or " * 300 + "True"],
)
def test_what_is_too_large_is_refused(source):
    assert [kind for kind, _, _ in told(source)] == ["too-large"]


@pytest.mark.parametrize(
    "source",
    [
        "params.mode == 'full'",
        "params.mode is None or params.mode != None",
        "params.mode in ('quick', 'full', None)",
        "'x' == (params.mode or 'x')",
        "(params.mode if params.ocr else 'x') == 'x'",
        "lower(params.mode) == 'x' or 'x' in lower(params.kinds)",
        "params.mode in job.context.modes and params.mode == params.target_lang and 'ful' in params.mode",
    ],
)
def test_a_choice_beside_what_it_may_be_is_no_mistake(source):
    assert compile_expression(source, "where", PARAMS).params


def test_params_that_are_not_known_are_not_checked():
    assert compile_expression("params.anything", "enabled").params == {"anything"}
