"""
A stage of one's own with a better model: names found by spaCy, beside what `oaflow.stages.analyze` finds with rules.

Needs spaCy and one of its models: `pip install spacy && python -m spacy download en_core_web_sm`.
"""

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from oaflow import DatasetJob, stage

if TYPE_CHECKING:
    from spacy.language import Language

# What spaCy's models call a finding, and where followthemoney keeps it.
PROPERTIES = {
    "PERSON": "peopleMentioned",
    "PER": "peopleMentioned",
    "ORG": "companiesMentioned",
    "GPE": "locationMentioned",
    "LOC": "locationMentioned",
}


@stage(queue="names", memory="3GiB", timeout="30m", accepts=["Document"], emits=["Document"])
def names(job: DatasetJob, *, model: str = "en_core_web_sm", longest: int = 100_000) -> DatasetJob:
    """Find people, organisations and places with a spaCy model."""
    texts: dict[str, list[str]] = {}
    for entity in job.load_entities():
        document = entity.first("document") if entity.schema.name == "Page" else entity.id
        texts.setdefault(document, []).extend(entity.get("bodyText", quiet=True))
    travelling = list(job.get_entities())
    with job.get_writer() as writer:
        for entity in travelling:
            if entity.schema.is_a("Analyzable") and entity.id in texts:
                found = findings(loaded(model), texts[entity.id], longest)
                # A fragment of the document: the store puts it together with what other stages said.
                fragment: Any = entity.clone()
                for name in list(fragment.properties):
                    fragment.pop(name)
                for name, values in found.items():
                    fragment.add(name, values)
                writer.put(fragment, fragment=entity.id)
    return job.with_entities(travelling)


@cache
def loaded(model: str) -> "Language":
    """
    The model, once for each process: it takes seconds to load, and an executor lives for many jobs.
    """
    import spacy

    return spacy.load(model, exclude=["parser", "lemmatizer"])


def findings(model: "Language", texts: Iterable[str], longest: int) -> dict[str, list[str]]:
    """
    What a model finds, by property. A text is cut at `longest` letters a piece: models take memory by length.
    """
    found: dict[str, dict[str, None]] = {}
    pieces = (text[start : start + longest] for text in texts for start in range(0, len(text), longest))
    for document in model.pipe(pieces):
        for entity in document.ents:
            name = " ".join(entity.text.split())
            if entity.label_ in PROPERTIES and len(name) > 1:
                found.setdefault(PROPERTIES[entity.label_], {})[name] = None
    return {name: list(values) for name, values in found.items()}
