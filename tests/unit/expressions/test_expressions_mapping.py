"""
The mapping form of `where`.
"""

import pickle

import pytest

from oaflow.expressions import ExpressionError, admitted, as_expression, check_mapping, compile_mapping, reads


def entity(schema="Document", **properties):
    return {"id": "x", "schema": schema, "properties": properties}


@pytest.mark.parametrize(
    ("mapping", "matching", "other"),
    [
        ({"schema": "Document"}, entity("Email"), entity("Person")),
        ({"schema": ["Person", "Document"]}, entity("Person"), entity("Vessel")),
        ({"language": "eng"}, entity(language=["deu", "eng"]), entity(language=["English"])),
        ({"language": ["eng", "deu"]}, entity(language=["deu"]), entity()),
        ({"schema": "Email", "language": "eng"}, entity("Email", language=["eng"]), entity("Page", language=["eng"])),
        ({"mimeType": "image/*"}, entity(mimeType=["image/png"]), entity(mimeType=["Image/png"])),
        ({"fileName": "*.pdf"}, entity(fileName=["a/b.pdf"]), entity(fileName=["a.pdf.gz"])),
        ({"fileName": "*draft*"}, entity(fileName=["a draft/b"]), entity(fileName=["a"])),
        ({"fileName": "a*z"}, entity(fileName=["a/b\n/z"]), entity(fileName=["a/b/zz."])),
        ({"fileName": "a?c"}, entity(fileName=["abc"]), entity(fileName=["ac"])),
        ({"fileName": "[ab]c"}, entity(fileName=["bc"]), entity(fileName=["cc"])),
        ({"fileName": "[!ab]c"}, entity(fileName=["cc"]), entity(fileName=["ac"])),
        ({"fileName": "[]]"}, entity(fileName=["]"]), entity(fileName=["[]]"])),
        ({"fileName": "a[b"}, entity(fileName=["a[b"]), entity(fileName=["ab"])),
        ({"fileName": "*"}, entity(fileName=["x"]), entity()),
        ({"fileName": ["a.(b)+", "x*y"]}, entity(fileName=["a.(b)+"]), entity(fileName=["axb"])),
        ({"from": "a@b"}, entity("Email", **{"from": ["a@b"]}), entity("Email")),
        ({"not": {"language": "eng"}}, entity(), entity(language=["eng", "deu"])),
        ({"not": {"language": ["eng", "d*"]}}, entity(language=["fra"]), entity(language=["fra", "deu"])),
        ({"not": {"schema": "Page", "language": "eng"}}, entity(), entity("Page")),
        ({"not": {"schema": "Page", "language": "eng"}}, entity(), entity(language=["eng"])),
        ({"language": ["eng", "d*"], "schema": "Email"}, entity("Email", language=["d"]), entity(language=["eng"])),
    ],
)
def test_what_a_mapping_takes(mapping, matching, other):
    condition = compile_mapping(mapping)

    assert check_mapping(mapping) == []
    assert condition.holds(e=matching)
    assert not condition.holds(e=other)


def test_a_param_without_a_value_leaves_its_key_out():
    assert as_expression({"schema": "Email"}) == "is_a(e, 'Email')"
    condition = compile_mapping({"language": None, "mimeType": [None], "schema": "Email", "not": {"language": None}})
    assert condition.source == "is_a(e, 'Email')"
    assert compile_mapping({"language": None}).holds(e=entity())


def test_a_param_may_be_a_list_in_a_list_or_a_number():
    condition = compile_mapping({"language": ["eng", ["deu", "fra"]], "fileSize": 12})

    assert condition.holds(e=entity(language=["fra"], fileSize=["12"]))


def test_a_value_of_a_param_is_never_read_as_an_expression():
    condition = compile_mapping({"fileName": "') or ('${params.x}\n\u2028\\"})

    condition = pickle.loads(pickle.dumps(condition))
    assert condition.holds(e=entity(fileName=["') or ('${params.x}\n\u2028\\"]))
    assert not condition.holds(e=entity(fileName=["x"]))


@pytest.mark.parametrize(
    ("mapping", "kind", "path", "help"),
    [
        ({"schema": "Docment"}, "unknown-schema", ("schema",), "did you mean 'Document'?"),
        ({"schema": ["Email", "Docment"]}, "unknown-schema", ("schema", 1), "did you mean 'Document'?"),
        ({"langage": "eng"}, "unknown-property", ("langage",), "did you mean 'language'?"),
        ({"not": {"langage": "eng"}}, "unknown-property", ("not", "langage"), "did you mean 'language'?"),
        ({"fileSize": 3}, "bad-value", ("fileSize",), "put it in quotes: '3'"),
        ({"name": True}, "bad-value", ("name",), "put it in quotes: 'true'"),
        ({"name": ["x", None]}, "bad-value", ("name", 1), "an entity without the property: not: {...}"),
        ({"name": []}, "bad-value", ("name",), "remove the key"),
        ({"name": ""}, "bad-value", ("name",), "take it out"),
        ({"name": {"x": 1}}, "bad-value", ("name",), None),
        ({"not": "eng"}, "bad-value", ("not",), "not: {KEY: VALUE}"),
        ({"not": {}}, "bad-value", ("not",), "not: {KEY: VALUE}"),
        ({"not": {"not": {"name": "x"}}}, "bad-value", ("not", "not"), "remove both"),
    ],
)
def test_a_mistake_has_a_path(mapping, kind, path, help):
    assert [(found.kind, found.path, found.help) for found in check_mapping(mapping)] == [(kind, path, help)]


def test_what_only_a_run_knows_is_checked_by_the_run():
    assert check_mapping({"schema": "${params.schema}"}) == []
    with pytest.raises(ExpressionError, match="no schema 'Docment'"):
        compile_mapping({"schema": "Docment"})


def test_which_schemata_a_mapping_admits():
    assert "Email" in admitted({"schema": "Document", "not": {"schema": "Page"}})
    assert "Email" not in admitted({"schema": "Document", "not": {"schema": "Email"}})
    assert admitted({"schema": "Person", "mimeType": "image/*"}) == frozenset()
    assert admitted({"schema": "${params.x}"}) == admitted({})
    assert reads({"schema": "Email", "language": "eng", "not": {"bodyText": "x"}}) == {"language", "bodyText"}
