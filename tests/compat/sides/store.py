"""
What followthemoney-store does. Runs in the environment `store`: JSON in, JSON out, a command a line.
"""

import json
import sys

from ftmstore.store import Store


def put_fragments(options):
    dataset = Store(options["uri"]).get(options["dataset"])
    bulk = dataset.bulk()
    for entity, origin, fragment in options["entities"]:
        bulk.put(entity, fragment=fragment, origin=origin) if origin else bulk.put(entity, fragment=fragment)
    bulk.flush()


def get_entities(options):
    dataset = Store(options["uri"]).get(options["dataset"])
    return [entity.to_dict() for entity in dataset.iterate(entity_id=options.get("ids"))]


COMMANDS = {function.__name__: function for function in (put_fragments, get_entities)}

if __name__ == "__main__":
    for line in sys.stdin:
        command, data = json.loads(line)
        print("\nANSWER" + json.dumps(COMMANDS[command](data)), flush=True)
