"""
Whether the installed followthemoney has the schemata that the package's table says.
"""

from oaflow.schemata import ABSTRACT, PROPERTIES, SCHEMATA


def differing_schemata() -> tuple[str, ...]:
    """
    The schemata that only one of the two has, or that have other ancestors or properties of their own; sorted.
    """
    # A second that nobody else needs.
    from followthemoney import model

    installed = {
        schema.name: (
            {ancestor.name for ancestor in schema.schemata},
            {prop.name: prop.type.name for prop in schema.properties.values() if prop.schema == schema},
            bool(schema.abstract),
        )
        for schema in model
    }
    table = {name: (set(SCHEMATA[name]), PROPERTIES[name], name in ABSTRACT) for name in SCHEMATA}
    return tuple(sorted(name for name in {*installed, *table} if installed.get(name) != table.get(name)))
