"""Encodings: accuracy on real pages of thirty encodings, hostile declarations, and no exception for any bytes."""

import re
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.corpus.extraction.encoding import codec_name, decode
from tests.shared_data import shared

LANGUAGE = re.compile(
    r"-(croatian|czech|hungarian|polish|slovak|slovene|bulgarian|russian|arabic|greek|turkish|hebrew|romanian)$"
)


@pytest.mark.parametrize("markup", [False, True], ids=["bytes alone", "with declarations inside"])
def test_accuracy_on_the_chardet_test_set(markup: bool) -> None:
    """A file counts where the whole text is right. 414 of 423; Python has no codec for the one in EUC-TW."""
    right = total = 0
    wrong = []
    with zipfile.ZipFile(shared("encodings/chardet_tests.zip")) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith("/"):
                continue
            label = LANGUAGE.sub("", name.split("/")[-2]).replace("MacCyrillic", "x-mac-cyrillic")
            body = archive.read(name)
            codec = codec_name(label)
            expected = body.decode(codec, "replace").removeprefix("\ufeff") if codec else None
            total += 1
            if decode(body, markup=markup).text == expected:
                right += 1
            else:
                wrong.append(name)
    assert total == 423
    assert right >= 414, wrong


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
        (b"plain", "utf-16", ("plain", "utf-8")),
        (b"plain", "no-such-charset", ("plain", "utf-8")),
        (b"plain", "unicode_escape", ("plain", "utf-8")),
    ],
)
def test_declarations_are_weighed(body: bytes, declared: str, expected: tuple[str | None, str]) -> None:
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
