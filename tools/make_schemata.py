"""
Writes oaflow/schemata.py from the installed followthemoney: `python tools/make_schemata.py`.
"""

from importlib.metadata import version
from pathlib import Path

from followthemoney import model

HEAD = '''"""
followthemoney's schemata as data, so that checking and routing need not import it. Generated: tools/make_schemata.py
"""

from functools import cache

# What this table was made from.
FOLLOWTHEMONEY = "{version}"

# FtM types whose values do not travel between stages.
_HEAVY = frozenset(("html", "json", "text"))

# What every reader of a stub may rely on, where the entity has it; openaleph-procrastinate's set.
STUB = ("contentHash", "fileName", "mimeType", "parent", "ancestors")


def is_a(schema: str, ancestor: str) -> bool:
    """
    Whether a schema is the other one or descends from it. False for names that followthemoney does not know.
    """
    return ancestor in SCHEMATA.get(schema, ())


def descendants(ancestor: str) -> tuple[str, ...]:
    """
    The schema itself and all that descend from it, sorted.
    """
    return tuple(sorted(name for name, ancestors in SCHEMATA.items() if ancestor in ancestors))


@cache
def properties(schema: str) -> dict[str, str]:
    """
    Every property of a schema, inherited ones too, with its FtM type. Empty for an unknown schema.
    """
    found: dict[str, str] = {{}}
    for name in SCHEMATA.get(schema, ()):
        found |= PROPERTIES[name]
    return found


@cache
def heavy(schema: str) -> frozenset[str]:
    """
    The properties of a schema that do not travel: FtM types text, html and json.
    """
    return frozenset(name for name, kind in properties(schema).items() if kind in _HEAVY)


@cache
def property_names() -> frozenset[str]:
    """
    Every property that some schema has.
    """
    return frozenset(name for own in PROPERTIES.values() for name in own)


@cache
def travels(property: str) -> bool:
    """
    Whether the values of a property travel between stages. Those that do not, do so in no schema that has them.
    """
    return not any(own.get(property) in _HEAVY for own in PROPERTIES.values())


'''


def main() -> None:
    schemata = sorted(model, key=lambda schema: schema.name)
    lines = [HEAD.format(version=version("followthemoney"))]
    lines.append("# Each schema with itself and all its ancestors.\n")
    lines.append("SCHEMATA: dict[str, tuple[str, ...]] = {\n")
    for schema in schemata:
        ancestors = sorted(item.name for item in schema.schemata)
        lines.append(f'    "{schema.name}": ({", ".join(f"{chr(34)}{name}{chr(34)}" for name in ancestors)},),\n')
    lines.append("}\n\n# Schemata that entities may not have, since they are only there to be descended from.\n")
    abstract = [schema.name for schema in schemata if schema.abstract]
    lines.append(f"ABSTRACT: frozenset[str] = frozenset({tuple(abstract)!r})\n".replace("'", '"'))
    lines.append("\n# The properties that each schema adds to those of its ancestors, with their FtM types.\n")
    lines.append("PROPERTIES: dict[str, dict[str, str]] = {\n")
    for schema in schemata:
        own = {prop.name: prop.type.name for prop in schema.properties.values() if prop.schema == schema}
        lines.append(f'    "{schema.name}": {{\n' if own else f'    "{schema.name}": {{}},\n')
        lines.extend(f'        "{name}": "{kind}",\n' for name, kind in sorted(own.items()))
        if own:
            lines.append("    },\n")
    lines.append("}\n")
    Path(__file__).parent.parent.joinpath("oaflow", "schemata.py").write_text("".join(lines))


if __name__ == "__main__":
    main()
