from pipelines.corpus.filters.config import LanguageConfig, ParagraphConfig
from pipelines.corpus.filters.language import count_languages, language_part
from pipelines.corpus.filters.paragraphs import paragraph_row, paragraphs_of, spread
from tests.pipelines.corpus.filters.corpus import documents
from tests.shared_data import shared

ENGLISH = "The committee met on Tuesday to discuss the budget, and most members agreed with the plan.\n"
GERMAN = "Der Ausschuss trat am Dienstag zusammen, um über den Haushalt zu beraten, und stimmte zu.\n"


def test_short_lines_are_joined():
    assert paragraphs_of("a\n\n b \nccccc\nd", 3) == ["a b ccccc d"]
    assert paragraphs_of("aaa\nb\nccc", 3) == ["aaa", "b ccc"]
    assert paragraphs_of("a", 3) == ["a"] and paragraphs_of(" \n", 3) == []


def test_many_paragraphs_are_looked_at_evenly():
    assert spread(list("abcdefghij"), 4) == ["a", "c", "f", "h"]
    assert spread(list("ab"), 4) == ["a", "b"]


def test_shares_by_characters():
    config = ParagraphConfig(min_characters=1, min_score=0.5, mixed_share=0.25)
    known = {"aaaaaa": [("x", 0.9)], "bbb": [("y", 0.8)], "c": [("z", 0.2)]}
    row = dict(paragraph_row("aaaaaa\nbbb\nc", ("x", 0.9), config, known.__getitem__))
    assert row["paragraph_languages"] == "x:0.70 y:0.30"
    assert (row["paragraph_main_share"], row["paragraph_second_language"], row["paragraph_second_share"]) == (
        0.7,
        "y",
        0.3,
    )
    assert row["mixed_language"] is True


def test_a_page_of_two_languages_is_visible():
    config = LanguageConfig(model=str(shared("models/lid176/lid.176.ftz")))
    texts = [ENGLISH * 6, ENGLISH * 4 + GERMAN * 4, GERMAN * 8 + ENGLISH, ""]
    result = language_part({"documents": documents(texts)}, config)
    table = result.tables["language"]
    assert table["mixed_language"].to_pylist() == [False, True, False, None]
    assert table["paragraph_languages"][0].as_py() == "en:1.00"
    second = set(table["paragraph_second_language"].to_pylist()[1:3])
    assert second <= {"en", "de"} and None not in second
    assert result.counts["language_mixed"] == 1 and result.counts["language/none"] == 1
    assert {name: n for name, n in result.counts.items() if "language" in name} == count_languages(table, config)
    off = language_part({"documents": documents(texts)}, config.model_copy(update={"paragraphs": None}))
    assert off.tables["language"]["paragraph_languages"].null_count == 4


def test_nothing_hides_behind_the_word_that_ends_a_line():
    config = LanguageConfig(model=str(shared("models/lid176/lid.176.ftz")), paragraphs=None)
    [row] = language_part({"documents": documents(["Hello </s> " + GERMAN * 5])}, config).tables["language"].to_pylist()
    assert row["language"] == "de"
