"""
The table of schemata in the package is the library's.
"""

import pytest
from followthemoney import model

from oaflow import schemata


def test_the_table_equals_the_library():
    assert set(schemata.SCHEMATA) == {schema.name for schema in model}
    for schema in model:
        assert set(schemata.SCHEMATA[schema.name]) == {item.name for item in schema.schemata}
        assert schemata.properties(schema.name) == {name: prop.type.name for name, prop in schema.properties.items()}
        assert (schema.name in schemata.ABSTRACT) == bool(schema.abstract)


def test_is_a_is_false_for_what_is_unknown():
    assert schemata.is_a("Pages", "Document")
    assert not schemata.is_a("Page", "Document")
    assert not schemata.is_a("Nonsense", "Document")
    assert not schemata.is_a("Pages", "Nonsense")


def test_long_texts_are_heavy_and_names_are_not():
    assert {"bodyText", "bodyHtml", "indexText"} <= schemata.heavy("HyperText")
    assert "fileName" not in schemata.heavy("HyperText")
    assert schemata.heavy("Nonsense") == frozenset()


@pytest.mark.parametrize("schema", schemata.SCHEMATA)
def test_a_property_travels_in_each_schema_or_in_none(schema):
    names = schemata.properties(schema)

    assert names.keys() <= schemata.property_names()
    assert {name for name in names if not schemata.travels(name)} == schemata.heavy(schema)


def test_long_texts_do_not_travel():
    assert schemata.travels("fileName")
    assert not schemata.travels("bodyText")
