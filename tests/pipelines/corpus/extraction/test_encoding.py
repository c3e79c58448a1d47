"""Encodings: accuracy on real pages of thirty encodings, hostile declarations, and no exception for any bytes."""

import codecs
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.corpus.extraction.encoding import codec_name, decode
from tests.pipelines.corpus.extraction.encodings import SEVERAL_BYTES, labelled_files, undeclared, written

NO_CODEC = {"EUC-TW"}


@pytest.mark.parametrize("markup", [False, True], ids=["bytes alone", "with declarations inside"])
def test_accuracy_on_the_chardet_test_set(markup: bool) -> None:
    """Every file of every encoding that Python has a codec for: 422 of 423."""
    files = labelled_files()
    assert len(files) == 423
    wrong = {file.name for file in files if decode(file.body, markup=markup).text not in file.texts}
    assert wrong == {file.name for file in files if file.group in NO_CODEC}


def test_accuracy_where_no_declaration_helps() -> None:
    """The same files with void declarations: all but one, in Big5."""
    files = [file for file in undeclared(labelled_files()) if file.group not in NO_CODEC]
    wrong = Counter(file.group for file in files if decode(file.body, markup=True).text not in file.texts)
    assert len(files) == 410
    assert wrong.total() <= 1, wrong


def test_accuracy_on_sentences_of_forty_languages() -> None:
    """A kilobyte of text in each language's encodings: 709 of 710, no encoding with more than one miss."""
    samples = list(written(samples=4, sentences=4))
    wrong = Counter(sample.group for sample in samples if decode(sample.body).text not in sample.texts)
    assert len(samples) == 284
    assert wrong.total() <= 2 and max(wrong.values(), default=0) <= 1, wrong


def test_a_broken_byte_does_not_make_another_encoding_of_a_text() -> None:
    """Three bytes changed or lost in 5 kB: detectors rule an encoding out by one broken byte (7 of 60); ours 58."""
    samples = [sample for sample in written(4, 20, broken=3) if sample.group in SEVERAL_BYTES]
    wrong = [sample.name for sample in samples if decode(sample.body).text not in sample.texts]
    assert len(samples) == 24
    assert len(wrong) <= 2, wrong


@pytest.mark.parametrize("codec", SEVERAL_BYTES)
def test_a_declared_encoding_survives_a_broken_byte(codec: str) -> None:
    """windows-1252 reads these bytes without any loss, as nonsense."""
    for sample in written(3, 4, broken=1):
        if sample.group == codec:
            assert decode(sample.body, codec).text in sample.texts, sample.name


@given(
    st.binary(max_size=300),
    st.one_of(st.none(), st.text(max_size=12), st.sampled_from(["utf-16", "utf-7", "zlib", "shift_jis", "idna", "hz"])),
    st.booleans(),
)
@settings(max_examples=500, deadline=None)
def test_no_bytes_raise(body: bytes, declared: str | None, markup: bool) -> None:
    decoded = decode(body, declared, markup)
    assert decoded.replaced >= 0


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc",)), min_size=1),
    st.sampled_from(["utf-8", "utf-16", "utf-32"]),
)
@settings(max_examples=200, deadline=None)
def test_text_with_a_mark_comes_back(text: str, codec: str) -> None:
    text = "a" + text
    decoded = decode(text.encode("utf-8-sig" if codec == "utf-8" else codec), "iso-8859-1")
    assert (decoded.text, decoded.replaced, decoded.evidence) == (text, 0, "bom")


@pytest.mark.parametrize(
    ("body", "declared", "expected"),
    [
        ("naïve café déjà vu".encode(), "iso-8859-1", ("naïve café déjà vu", "cp1252")),
        ("naïve café déjà vu, où çà et là ; été, noël, maïs, forêt, août".encode(), "iso-8859-1", (None, "utf-8")),
        ("中文字".encode("gb2312"), "gb2312", ("中文字", "gb18030")),
        ("联通".encode("gbk"), "gbk", ("联通", "gb18030")),
        ("€ “x”".encode("cp1252"), "ISO-8859-1", ("€ “x”", "cp1252")),
        ("日本語".encode("iso2022_jp"), "iso-2022-jp", ("日本語", "iso2022_jp")),
        ("中文的字符，还有更多".encode("hz"), None, ("中文的字符，还有更多", "hz")),
        (b"if (~{x} & ~{y}) ~}", None, ("if (~{x} & ~{y}) ~}", "utf-8")),
        (b"plain", "utf-16", ("plain", "utf-8")),
        (b"plain", "no-such-charset", ("plain", "utf-8")),
        (b"plain", "unicode_escape", ("plain", "utf-8")),
    ],
)
def test_declarations_are_weighed(body: bytes, declared: str | None, expected: tuple[str | None, str]) -> None:
    decoded = decode(body, declared)
    assert decoded.encoding == expected[1] or decoded.text == expected[0]
    if expected[0] is None:
        assert decoded.text.encode() == body


def test_a_declaration_inside_the_page() -> None:
    for head in ('<meta charset="windows-1251">', "<meta http-equiv=x content='text/html; charset=windows-1251'>"):
        body = (head + "<p>Привет, мир").encode("cp1251")
        assert decode(body, markup=True).text.endswith("Привет, мир")
        assert decode(body, markup=True).evidence == "meta"
    body = '<?xml version="1.0" encoding="koi8-r"?><a>Привет</a>'.encode("koi8-r")
    assert decode(body, markup=True)[1:3] == ("koi8-r", "meta")
    # Read as ASCII, so it cannot be UTF-16 whatever it says.
    assert decode("<meta charset=utf-16><p>é".encode(), markup=True).text == "<meta charset=utf-16><p>é"


def test_broken_bytes_are_counted_and_written_ones_are_not() -> None:
    decoded = decode("日本語テキスト、漢字かな混じり文\ufffd".encode() + b"\xff\xfe\xfa")
    assert decoded.encoding == "utf-8"
    assert decoded.replaced == 3


@pytest.mark.parametrize(
    "label", ["utf-7", "idna", "punycode", "unicode_escape", "rot13", "zlib", "hex", "", "x" * 999, "a\0b"]
)
def test_codecs_that_are_no_encodings_are_refused(label: str) -> None:
    assert codec_name(label) is None


def test_marks_that_a_document_holds_itself_are_not_losses() -> None:
    text = "a \ufffd b \ufffd \u3fff\udfff".replace("\udfff", "x") * 40
    for codec, mark in (("utf-16-le", codecs.BOM_UTF16_LE), ("utf-16-be", codecs.BOM_UTF16_BE), ("utf-8", b"")):
        assert decode(mark + text.encode(codec)).replaced == 0
        assert decode(mark + ("\ufdff\u00fd" * 50).encode(codec) + b"\xff").replaced >= 0
