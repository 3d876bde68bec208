"""
`analyze`: the language of a document, and what it mentions.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from oaflow.dsl import stage
from oaflow.jobs import DatasetJob
from oaflow.stages import mentions
from oaflow.stages.languages import language_of
from oaflow.stages.names import names_in, people_of

if TYPE_CHECKING:
    from followthemoney.proxy import EntityProxy

_TEXTS = ("title", "subject", "bodyText", "indexText", "description", "summary")
_PEOPLE = ("from", "to", "cc", "bcc", "sender")


@stage(queue="analyze")
def analyze(job: DatasetJob, *, names: bool = True) -> Iterator[DatasetJob]:
    """
    Find the language of a document, and the addresses, numbers, countries and names in it.

    Args:
        names: whether to look for names of people and companies.
    """
    texts: dict[str, list[str]] = {}
    people: dict[str, list[str]] = {}
    for entity in job.load_entities():
        document = _document_of(entity)
        if document is None:
            continue
        texts.setdefault(document, []).extend(_texts(entity))
        people.setdefault(document, []).extend(value for name in _PEOPLE for value in entity.get(name, quiet=True))
    travelling = list(job.get_entities())
    with job.get_writer() as writer:
        for entity in travelling:
            if entity.id not in texts or not entity.schema.is_a("Analyzable"):
                continue
            found = _analysis("\n".join(texts[entity.id]), people[entity.id], names=names)
            writer.put(_fragment(entity, found), fragment=entity.id)
            for name, values in found.items():
                entity.add(name, values, cleaned=True)
    yield job.with_entities(travelling)


def _document_of(entity: "EntityProxy") -> str | None:
    return entity.first("document") if entity.schema.name == "Page" else entity.id


def _texts(entity: "EntityProxy") -> Iterator[str]:
    for name in _TEXTS:
        yield from entity.get(name, quiet=True)


def _analysis(text: str, people: list[str], *, names: bool) -> dict[str, list[str]]:
    everything = "\n".join([text, *people])
    numbers, accounts = mentions.phones(text), mentions.ibans(text)
    language = language_of(text)
    found: dict[str, list[str]] = {
        "detectedLanguage": [language] if language else [],
        "emailMentioned": mentions.emails(everything),
        "phoneMentioned": numbers,
        "ibanMentioned": accounts,
        "ipMentioned": mentions.addresses(text),
        # FtM has no property for a web address that is mentioned, and `sourceUrl` says where a document is from.
        "keywords": mentions.urls(text),
        "detectedCountry": mentions.countries(text, language, numbers, accounts),
    }
    if names:
        known = names_in(text)
        found["companiesMentioned"] = known.companies
        found["peopleMentioned"] = list(dict.fromkeys([*people_of(people), *known.people]))
        found["namesMentioned"] = known.others
    return {name: values for name, values in found.items() if values}


def _fragment(entity: "EntityProxy", found: dict[str, list[str]]) -> "EntityProxy":
    from followthemoney import model

    fragment: Any = model.make_entity(entity.schema)
    fragment.id = entity.id
    for name, values in found.items():
        fragment.add(name, values, cleaned=True)
    return fragment
