"""Vocabularies: names by index, and one clear line for each mistake."""

import pytest

from models.errors import InputError
from models.vocabulary import Vocabulary, read_vocabulary


def test_rows_are_keyed_on_their_index_in_any_order():
    text = 'Index,TrainVideoCount,KnowledgeGraphId,Name\n1,9,/m/b,"Cats, big"\n0,3,/m/a,Dog\n'
    assert read_vocabulary(text, "v.csv").names == ("Dog", "Cats, big")


def test_an_empty_name_falls_back_to_the_knowledge_graph_id():
    assert read_vocabulary("Index,KnowledgeGraphId,Name\n0,/m/a,\n1,,\n", "v.csv").names == ("/m/a", "label 1")


def test_the_published_vocabulary(real_data):
    vocabulary = read_vocabulary((real_data / "vocabulary" / "vocabulary.csv").read_text(), "vocabulary.csv")
    names = vocabulary.names
    assert len(names) == 3862 and names[0] == "Game" and sum(name.startswith("/m/") for name in names) == 56
    assert vocabulary.verticals[0] == "Games" and len(set(vocabulary.verticals)) == 25


def test_without_a_vocabulary_the_ids_are_the_names():
    assert Vocabulary.of_ids(3) == Vocabulary(("0", "1", "2"), ("", "", ""))


def test_verticals_are_optional():
    text = "Index,Name,Vertical1,Vertical2\n1,b,,Food\n0,a,Games,Food\n"
    assert read_vocabulary(text, "v.csv").verticals == ("Games", "")
    assert read_vocabulary("Index,Name\n0,a\n", "v.csv").verticals == ("",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Name\na\n", r"vocabulary v.csv: has columns \['Name'\], expected Index and Name"),
        ("", "vocabulary v.csv: is empty"),
        ("Index,Name\n", "vocabulary v.csv: has no rows"),
        ("Index,Name\nx,a\n", "vocabulary v.csv, line 2: Index is 'x', expected a whole number"),
        ("Index,Name\n0,a\n0,b\n", "vocabulary v.csv, line 3: Index 0 occurs a second time"),
        ("Index,Name\n0,a\n2,b\n", "vocabulary v.csv: Index 1 is missing, expected 0 to 1 for 2 rows"),
        ("Index,Name\n1,a\n2,b\n", "vocabulary v.csv: Index 0 is missing, expected 0 to 1 for 2 rows"),
    ],
)
def test_the_message_for_a_wrong_vocabulary_names_its_line(text, message):
    with pytest.raises(InputError, match=message):
        read_vocabulary(text, "v.csv")
