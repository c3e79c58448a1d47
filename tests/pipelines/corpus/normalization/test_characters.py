"""Normal form: idempotent, lossless on clean text, NFC and never NFKC, and linear on hostile text."""

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.corpus.normalization.characters import MAX_MARKS, WINDOW
from pipelines.corpus.normalization.normalize import normalize

any_text = st.text(st.characters(codec=None, exclude_categories=()), max_size=200)
marks_and_letters = st.text(st.sampled_from("ae\u0301\u0316\u0328\u1100\u1161\u11a8\u200d\ufb01①"), max_size=300)


@given(any_text | marks_and_letters)
@settings(max_examples=500, deadline=None)
def test_a_second_pass_changes_nothing(text: str) -> None:
    once = normalize(text).text
    twice = normalize(once)
    assert twice.text == once
    assert twice.counts == {}
    once.encode()
    assert unicodedata.is_normalized("NFC", once)


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc",), exclude_characters="\ufeff\u2028\u2029")))
@settings(max_examples=300, deadline=None)
def test_clean_text_keeps_every_character(text: str) -> None:
    text = unicodedata.normalize("NFC", text) + "\n\t end"
    normalized = normalize(text)
    assert normalized.text == text
    assert normalized.counts == {}


@given(any_text)
@settings(max_examples=300, deadline=None)
def test_only_the_named_edits_are_made(text: str) -> None:
    """An oracle by characters: without them and without NFC, the text is the input."""
    expected, at = [], 0
    while at < len(text):
        character = text[at]
        if text.startswith("\r\n", at):
            at += 1
            character = "\n"
        elif character in "\r\v\f\x85\u2028\u2029":
            character = "\n"
        if (
            "\ud800" <= character <= "\udfff"
            or character == "\ufeff"
            or (character and unicodedata.category(character) == "Cc" and character not in "\n\t")
        ):
            character = ""
        expected.append(character)
        at += 1
    assert normalize(text).text == unicodedata.normalize("NFC", "".join(expected))


def _counts(name: str, added: int, removed: int) -> dict[str, int]:
    return {f"{name}/documents": 1, f"{name}/added": added, f"{name}/removed": removed}


@pytest.mark.parametrize(
    ("text", "expected", "counts"),
    [
        ("a\r\nb\rc\x85d\u2028e\vf\fg", "a\nb\nc\nd\ne\nf\ng", _counts("line_ends", 5, 6)),
        ("a\0b\x1bc\x9fd\ufeffe", "abcde", _counts("controls", 0, 4)),
        ("a\ud800b\udfff", "ab", _counts("surrogates", 0, 2)),
        ("e\u0301", "é", _counts("nfc", 1, 2)),
        ("①ﬁＡ½ x² ㎏", "①ﬁＡ½ x² ㎏", {}),
        ("👩‍👩‍👧 می‌خواهم so\xadft\u200b", "👩‍👩‍👧 می‌خواهم so\xadft\u200b", {}),
        ("tab\tand\nline", "tab\tand\nline", {}),
    ],
)
def test_operations_are_counted(text: str, expected: str, counts: dict[str, int]) -> None:
    assert normalize(text) == (expected, counts)


def test_a_tower_of_marks_is_cut_in_linear_time() -> None:
    started = time.perf_counter()
    normalized = normalize("a" + "\u0301\u0316" * 200_000 + "b")
    assert time.perf_counter() - started < 40  # sorting all of them would take two minutes
    assert normalized.counts["nfc/removed"] >= 400_000 - MAX_MARKS
    assert normalize("a" + "\u0316" * MAX_MARKS + "b").counts == {}


@pytest.mark.parametrize("start", [WINDOW - MAX_MARKS - 6, WINDOW - MAX_MARKS - 1, WINDOW - 30, WINDOW - 1, WINDOW])
def test_a_run_across_two_windows_is_seen(start: int) -> None:
    marks = "\u0316" * (MAX_MARKS + 6)
    assert normalize("x" * start + marks + "y").counts["nfc/removed"] == 6
    assert normalize("x" * start + marks[6:] + "y").counts == {}
    assert normalize("x" * start + marks).counts["nfc/removed"] == 6
