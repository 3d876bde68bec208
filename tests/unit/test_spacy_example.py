"""
The spaCy example, with a small model that is made here. Skipped where spaCy is not installed.
"""

import importlib.util
from pathlib import Path

import pytest

from oaflow.compiler.checking import check_file
from oaflow.operations.programs import load, locate
from oaflow.operations.trying import trial_of

FOLDER = Path(__file__).parents[2] / "examples" / "spacy_names"


@pytest.fixture(scope="module")
def names():
    spec = importlib.util.spec_from_file_location("names_example", FOLDER / "names.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    """
    A model of spaCy on disk that knows a person, a company and a place.
    """
    spacy = pytest.importorskip("spacy", reason="spaCy is not installed")
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns(
        [
            {"label": "PERSON", "pattern": "Mara Lindt"},
            {"label": "ORG", "pattern": "Harbour Holding"},
            {"label": "GPE", "pattern": "Valletta"},
            {"label": "DATE", "pattern": "Monday"},
        ]
    )
    folder = tmp_path_factory.mktemp("model")
    nlp.to_disk(folder)
    return str(folder)


TEXT = "Mara Lindt met Harbour Holding in Valletta on Monday. Mara\nLindt left. Mara Lindt."


def test_findings_are_sorted_into_properties_once_each_and_cut_texts_are_read_to_their_end(names, model):
    expected = {
        "peopleMentioned": ["Mara Lindt"],
        "companiesMentioned": ["Harbour Holding"],
        "locationMentioned": ["Valletta"],
    }

    assert names.findings(names.loaded(model), [TEXT], 100_000) == expected
    assert names.findings(names.loaded(model), ["x" * 60 + " " + TEXT], 61) == expected


def test_the_pipeline_passes_every_check_whether_spacy_is_installed_or_not(monkeypatch):
    monkeypatch.chdir(FOLDER)

    checked = check_file(Path("pipeline.yml"))

    assert checked.diagnostics == ()
    assert checked.functions["names.names"].options.accepts == ("Document",)


def test_documents_go_where_the_pipeline_says_itself():
    trial = trial_of(load(locate(str(FOLDER / "pipeline.yml")), imports=False))

    assert [one.passed for one in trial.tried] == [True] * 3
