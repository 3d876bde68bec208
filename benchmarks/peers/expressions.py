"""
One predicate about entities in several languages: `python -m benchmarks.peers.expressions NAME SECONDS`.

Prints the nanoseconds of processor that each predicate took, and how many of the entities it held for. It is read once,
and then asked about one entity after the other, as plain data: what a language makes of these first is part of it.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

Entity = dict[str, Any]
Predicate = Callable[[Entity], Any]

ENTITIES = 1_000
PROPERTIES = 40


def entities() -> list[Entity]:
    """
    Entities of 40 properties, all different, of which one in four is a German document.
    """
    return [
        {
            "id": f"entity-{number}",
            "schema": "Document" if number % 2 else "Person",
            "properties": {
                **{f"property{index}": [f"value {number} {index}"] for index in range(PROPERTIES - 1)},
                "language": ["eng", "deu" if number % 4 == 1 else "fra"],
            },
        }
        for number in range(ENTITIES)
    ]


def oaflow() -> Predicate:
    from oaflow.expressions import compile_expression

    test = compile_expression('e.schema == "Document" and has(e.language, "deu")', "where").test
    nothing: dict[str, Any] = {}
    return lambda entity: test(entity, nothing, nothing, nothing)


def python() -> Predicate:
    return lambda entity: entity["schema"] == "Document" and "deu" in entity["properties"]["language"]


_CEL = 'e.schema == "Document" && "deu" in e.properties.language'


def cel_python() -> Predicate:
    import celpy

    environment = celpy.Environment()
    program = environment.program(environment.compile(_CEL))
    return lambda entity: program.evaluate({"e": celpy.json_to_cel(entity)})


def common_expression_language() -> Predicate:
    import cel

    program = cel.compile(_CEL)
    return lambda entity: program.execute({"e": entity})


def cel_expr_python() -> Predicate:
    from cel_expr_python import cel

    program = cel.NewEnv(variables={"e": cel.Type.DYN}).compile(_CEL)
    return lambda entity: program.eval(data={"e": entity}).value()


def jmespath() -> Predicate:
    import jmespath

    return jmespath.compile("schema == 'Document' && contains(properties.language, 'deu')").search


def simpleeval() -> Predicate:
    from simpleeval import SimpleEval

    expression = "e['schema'] == 'Document' and 'deu' in e['properties']['language']"
    evaluator = SimpleEval()
    tree = evaluator.parse(expression)

    def holds(entity: Entity) -> Any:
        evaluator.names = {"e": entity}
        return evaluator.eval(expression, previously_parsed=tree)

    return holds


PREDICATES: dict[str, Callable[[], Predicate]] = {
    function.__name__: function
    for function in (oaflow, python, cel_python, common_expression_language, cel_expr_python, jmespath, simpleeval)
}


def main(name: str, seconds: float) -> None:
    """
    Ask for about so long, in whole rounds over all entities.
    """
    holds, asked = PREDICATES[name](), entities()
    held = sum(bool(holds(entity)) for entity in asked)
    rounds, began = 0, time.process_time()
    while (spent := time.process_time() - began) < seconds:
        for entity in asked:
            holds(entity)
        rounds += 1
    print(1e9 * spent / (rounds * len(asked)), held)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
