"""Bytes whose encoding is known: chardet's test set, and sentences of real texts written in the encodings that their
languages were written in, as they are and as the text of a page, with and without a few broken bytes."""

import io
import json
import random
import re
import zipfile
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import zstandard

from pipelines.corpus.extraction.encoding import codec_name
from tests.shared_data import shared

LANGUAGE = re.compile(
    r"-(croatian|czech|hungarian|polish|slovak|slovene|bulgarian|russian|arabic|greek|turkish|hebrew|romanian)$"
)
DECLARED = re.compile(rb"(?i)((?:encoding|charset)\s*=\s*[\"']?)[a-z0-9_-]+")
LANGUAGES = {
    "cp1252": "en de fr es it pt nl sv da nb fi is ca",
    "cp1250": "pl cs sk hu sl hr ro",
    "iso8859-2": "pl cs sk hu sl hr",
    "cp1251": "ru bg uk be sr mk",
    "iso8859-5": "ru bg mk sr",
    "koi8-r": "ru",
    "koi8-u": "uk",
    "cp866": "ru",
    "ibm855": "ru",
    "mac-cyrillic": "ru",
    "cp1253": "el",
    "iso8859-7": "el",
    "cp1254": "tr",
    "cp1255": "he",
    "cp1256": "ar fa",
    "iso8859-6": "ar",
    "cp1257": "lt lv et",
    "cp874": "th",
    "cp932": "ja",
    "euc_jp": "ja",
    "iso2022_jp": "ja",
    "cp949": "ko",
    "johab": "ko",
    "iso2022_kr": "ko",
    "gb18030": "zh",
    "big5hkscs": "zh",
    "hz": "zh",
    "utf-8": "en fr ru ja hi th",
    "utf-16-le": "en ru",
    "utf-16-be": "en ru",
}
SEVERAL_BYTES = ("cp932", "euc_jp", "cp949", "johab", "gb18030", "big5hkscs")
ANY_BYTE = (0x20, 0x80, 0xA0, 0xFD, 0xFF)


class Sample(NamedTuple):
    group: str
    name: str
    body: bytes
    texts: frozenset[str]
    """Right answers: the label's own, and what browsers read under the label."""


def labelled_files() -> list[Sample]:
    """The 423 files of chardet's test set; Python has no codec for the one in EUC-TW, which has no right answer."""
    found = []
    with zipfile.ZipFile(shared("encodings/chardet_tests.zip")) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith("/"):
                continue
            folder = name.split("/")[-2]
            label = LANGUAGE.sub("", folder).replace("MacCyrillic", "x-mac-cyrillic")
            body, texts = archive.read(name), set()
            for codec in {label, codec_name(label)} - {None}:
                try:
                    texts.add(body.decode(codec or "").removeprefix("\ufeff"))
                except (LookupError, UnicodeError):
                    continue
            if not texts and (codec := codec_name(label)):
                texts.add(body.decode(codec, "replace"))
            found.append(Sample(folder, name, body, frozenset(texts)))
    return found


def undeclared(files: list[Sample]) -> Iterator[Sample]:
    """The same files, where what they say of their encoding says nothing any more."""
    for file in files:
        if file.group.startswith(("UTF-16", "UTF-32")):
            continue
        body = DECLARED.sub(rb"\1x", file.body)
        changed = [
            body.decode(codec, "replace").removeprefix("\ufeff")
            for codec in {codec_name(LANGUAGE.sub("", file.group).replace("MacCyrillic", "x-mac-cyrillic"))} - {None}
            if codec
        ]
        yield file._replace(body=body, texts=frozenset(changed))


@cache
def _sentences() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    with shared("lid/lingua_sentences.jsonl.zst").open("rb") as stream:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(stream), encoding="utf-8")
        for row in map(json.loads, lines):
            found.setdefault(row["lang"], []).append(row["text"])
    return found


def written(samples: int, sentences: int, broken: int = 0) -> Iterator[Sample]:
    """`samples` texts for each encoding and language, half of them as pages, with `broken` bytes changed or lost."""
    for codec, languages in LANGUAGES.items():
        for language in languages.split():
            chance = random.Random(f"{codec} {language}")
            known = [text for text in _sentences()[language] if "ďż˝" not in text and "\ufffd" not in text]
            for number in range(samples):
                part = chance.sample(known, sentences)
                text = "\n".join(part)
                if number % 2:
                    blocks = "".join(
                        f'<div class="post"><p id="p{at}">{line}</p></div>\n' for at, line in enumerate(part)
                    )
                    text = (
                        f'<html><head><title>{part[0][:40]}</title></head><body><div class="nav"><a href="/">Home</a>'
                        f"</div>{blocks}<script>var x = [1, 2];</script></body></html>"
                    )
                body = bytearray(text.encode(codec, "ignore"))
                for _ in range(broken):
                    at = chance.randrange(len(body))
                    body[at : at + 1] = b"" if chance.random() < 0.5 else bytes([chance.choice(ANY_BYTE)])
                name = f"{codec} {language} {number}"
                yield Sample(codec, name, bytes(body), frozenset((bytes(body).decode(codec, "replace"),)))
