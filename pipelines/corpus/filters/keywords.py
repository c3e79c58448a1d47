"""The attribute family `keywords`: hits of declared lists of terms, domains and URL words, with what was hit.

In: documents (`id`, `text_hash`, `text`, `url`). Each list gives a few columns; see `column_descriptions`. Steps for
a list of *terms*: fold the text (lower case, full-width letters and digits to ASCII); find every term with one
automaton; keep the hits that stand at word boundaries and not inside an allowed term; of overlapping ones the leftmost,
then the longest.

A boundary is judged by the characters on both sides of it, so one rule serves all scripts. Between two letters or
digits of a script with spaces there is none ("class" has no "ass"). A character of a script without spaces (Han, kana,
Thai) is at a boundary on both sides: no space may be asked for around 博彩. Inside a run of katakana there is none,
since such a run is one word (グロ is not in グローバル). Hangul is joined to its particles on the right, so only its
left side counts. A mark belongs to the character before it. What a Chinese term would wrongly find inside a longer
word (性 in 性能) is named in `allow`, or the list has `boundaries: words`: then a term in a Chinese document counts
where words of `chinese_words` begin and end, one word or several side by side.

Lists of *domains* match a host and its subdomains; *urls* a host with a path and what lies below it; *url_words*
whole words of the URL; *url_substrings* parts of the URL without its `-` and `.`. Those have one hit for each different
entry found, and null without a URL. Cost: about 60 MB/s of ASCII, 25 of Chinese, for two lists of some fifty terms.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import numpy as np
import polars as pl
import pyarrow as pa

from pipelines.core.documents import ATTRIBUTE_KEYS
from pipelines.core.errors import GristmillError
from pipelines.core.fingerprint import Algorithm, digest_file
from pipelines.core.parts import PartResult
from pipelines.corpus.chinese_dictionary import jieba_version
from pipelines.corpus.filters.blocks import text_blocks
from pipelines.corpus.filters.characters import UNICODE, character_flags
from pipelines.corpus.filters.chinese_words import CHINESE_WORDS, chinese_words
from pipelines.corpus.filters.config import KeywordConfig, KeywordList
from pipelines.corpus.filters.term_hits import (
    Places,
    at_boundaries,
    code_points,
    leftmost_longest,
    occurrences,
    sheltered,
)
from pipelines.corpus.filters.term_lists import BUILTIN, TERM_LISTS
from pipelines.corpus.filters.words import SEGMENTATION, segment_words

KEYWORDS: Final = Algorithm("keywords", 1)
ALGORITHMS: Final = (KEYWORDS, TERM_LISTS, UNICODE)
"""What the identity of the hits names; `algorithms_of` adds what words of Chinese rest on."""
SHOWN_TERMS, SHOWN_CHARACTERS = 10, 40
"""How many terms, and how much of each, a document's row names."""

_WIDE = str.maketrans({chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)})
_HAS_WIDE = "[\uff01-\uff5e]"
_URL_WORDS = re.compile(r"[\W_]+")


class KeywordListError(GristmillError, ValueError):
    """A list that is absent, is not the declared one, or holds nothing."""


def keywords_part(tables: Mapping[str, pa.Table], config: KeywordConfig) -> PartResult:
    """`tables["documents"]` to `tables["keywords"]`: the keys and the columns of `column_descriptions(config)`.

    Raises KeywordListError for a list that cannot be read or is not the one that was declared.
    """
    documents = tables["documents"]
    columns: dict[str, Any] = {field.name: documents.column(field.name) for field in ATTRIBUTE_KEYS}
    texts = urls = None
    for name, wanted in config.lists.items():
        if wanted.kind == "terms":
            texts = fold(pl.from_arrow(documents.column("text"))) if texts is None else texts  # type: ignore[arg-type]
            columns.update(_text_columns(name, texts, wanted))
        else:
            urls = documents.column("url").to_pylist() if urls is None else urls
            columns.update(_url_columns(name, urls, wanted))
    table = pa.table(columns)
    return PartResult({"keywords": table}, {"rows_in": len(documents), "kept": len(table)})


def column_descriptions(config: KeywordConfig) -> dict[str, str]:
    """Every column after the keys, in order, with a sentence that names its unit."""
    described: dict[str, str] = {}
    for name, wanted in config.lists.items():
        if wanted.kind == "terms":
            described |= {
                f"keyword_{name}_hits": f"hits of the list {name}",
                f"keyword_{name}_distinct": f"different terms of the list {name}",
                f"keyword_{name}_per_line": "hits / lines that are not blank",
                f"keyword_{name}_character_share": "characters of the hits / characters",
                f"keyword_{name}_terms": f"JSON object: the {SHOWN_TERMS} most frequent terms with their hits, or null",
            }
        else:
            described |= {
                f"url_{name}_hits": f"different entries of the list {name} in the URL",
                f"url_{name}_terms": "JSON array: those entries, or null",
            }
    return described


def algorithms_of(config: KeywordConfig) -> tuple[Algorithm, ...]:
    """What the hits by these settings rest on."""
    if any(item.boundaries == "words" for item in config.lists.values()):
        return (*ALGORITHMS, SEGMENTATION, CHINESE_WORDS, jieba_version())
    return ALGORITHMS


def entries(wanted: KeywordList) -> tuple[str, ...]:
    """The entries of a list from all its origins, folded, without blanks and comments, sorted."""
    lines = [*wanted.terms, *(BUILTIN[wanted.builtin] if wanted.builtin else ())]
    if wanted.path is not None:
        lines += file_lines(wanted.path, wanted.digest)
    found = {folded for line in lines if (folded := _fold(line.strip()))}
    if not found:
        raise KeywordListError("a keyword list is empty: give `terms`, `path` or `builtin`")
    return tuple(sorted(found))


def declared(wanted: KeywordList, path: Path) -> KeywordList:
    """The list with its file's absolute path and digest: what a worker reads and what identity names."""
    if not path.is_file():
        raise KeywordListError(f"there is no keyword list {path}: paths are relative to the project file")
    found = digest_file(path)
    if wanted.digest and wanted.digest != found:
        raise KeywordListError(f"the keyword list {path} has SHA-256 {found}, the project file says {wanted.digest}")
    return wanted.model_copy(update={"path": str(path), "digest": found})


@lru_cache(maxsize=32)
def file_lines(path: str, digest: str) -> tuple[str, ...]:
    """The lines of a list without blank ones and comments. Raises KeywordListError for a file that is not the one."""
    file = Path(path)
    if not file.is_file():
        raise KeywordListError(f"there is no keyword list {path}")
    if digest and digest_file(file) != digest:
        raise KeywordListError(f"the keyword list {path} changed while it was being used: run again")
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise KeywordListError(f"the keyword list {path} is not UTF-8 at byte {error.start}: convert it") from None
    return tuple(line for line in text.splitlines() if line.strip() and not line.startswith("#"))


def _fold(text: str) -> str:
    return text.translate(_WIDE).lower()


def fold(texts: pl.Series) -> pl.Series:
    """Texts in lower case with full-width forms as ASCII; a null is an empty text."""
    texts = texts.fill_null("")
    wide = texts.str.contains(_HAS_WIDE)
    if wide.any():
        changed = [text.translate(_WIDE) for text in texts.filter(wide).to_list()]
        texts = texts.scatter(wide.arg_true(), changed)
    return texts.str.to_lowercase()


def _text_columns(name: str, texts: pl.Series, wanted: KeywordList) -> dict[str, pa.Array]:
    found = occurrences(texts, entries(wanted))
    hit = [number for number, places in enumerate(found) if places]
    if wanted.boundaries == "words" and hit:
        found = _at_words(texts, hit, found)
    shelters: dict[int, Places | None] = {}
    if wanted.allow and hit:
        allowed = tuple(sorted({_fold(term) for term in wanted.allow}))
        shelters = dict(zip(hit, occurrences(texts[hit], allowed), strict=True))
    hits, distinct, characters = [0] * len(texts), [0] * len(texts), [0] * len(texts)
    shown: list[str | None] = [None] * len(texts)
    for number in hit:
        text, places, shelter = texts[number], found[number], shelters.get(number)
        assert places is not None
        if shelter is not None:
            places = places.where(~sheltered(places, shelter))
        chosen = leftmost_longest(places.where(at_boundaries(code_points(text), places)))
        counted = Counter(chosen.of(text))
        if not counted:
            continue
        hits[number], distinct[number] = counted.total(), len(counted)
        characters[number] = int((chosen.stops - chosen.starts).sum())
        shown[number] = shown_terms(counted)
    counts = pl.DataFrame({"hits": hits, "characters": characters}, {"hits": pl.Int64, "characters": pl.Int64})
    lengths = texts.str.len_chars().cast(pl.Float64)
    lines = texts.str.count_matches(r"(?m)^[^\n]*\S[^\n]*$").cast(pl.Float64)
    return {
        f"keyword_{name}_hits": pa.array(hits, pa.int64()),
        f"keyword_{name}_distinct": pa.array(distinct, pa.int64()),
        f"keyword_{name}_per_line": _ratio(counts["hits"], lines),
        f"keyword_{name}_character_share": _ratio(counts["characters"], lengths),
        f"keyword_{name}_terms": pa.array(shown, pa.large_string()),
    }


def _at_words(texts: pl.Series, hit: list[int], found: list[Places | None]) -> list[Places | None]:
    """Places whose ends are ends of words, of the texts that have any."""
    result: list[Places | None] = [None] * len(texts)
    for block in text_blocks(texts[hit].to_arrow()):
        words = chinese_words(block, segment_words(block, character_flags()))
        for place in range(len(block.offsets) - 1):
            row = hit[block.first + place]
            places = found[row]
            assert places is not None
            mine, start = slice(words.offsets[place], words.offsets[place + 1]), block.offsets[place]
            begins, ends = words.starts[mine] - start, words.stops[mine] - start
            result[row] = places.where(np.isin(places.starts, begins) & np.isin(places.stops, ends))
    return result


def _ratio(top: pl.Series, bottom: pl.Series) -> pa.Array:
    values = pl.select(pl.when(bottom > 0).then(top / bottom)).to_series()
    return pa.array(values.to_list(), pa.float64())


def _url_columns(name: str, urls: list[str | None], wanted: KeywordList) -> dict[str, pa.Array]:
    listed = entries(wanted)
    if wanted.kind in ("domains", "urls"):
        listed = tuple({_address(entry) for entry in listed})
    known = frozenset(listed)
    found = [sorted(_url_hits(url, wanted.kind, known)) if url else None for url in urls]
    return {
        f"url_{name}_hits": pa.array([None if hit is None else len(hit) for hit in found], pa.int64()),
        f"url_{name}_terms": pa.array(
            [json.dumps(hit[:SHOWN_TERMS], ensure_ascii=False) if hit else None for hit in found], pa.large_string()
        ),
    }


def _url_hits(url: str, kind: str, known: frozenset[str]) -> set[str]:
    if kind == "url_words":
        return {word for word in _URL_WORDS.split(_fold(unquote(url))) if word in known}
    if kind == "url_substrings":
        bare = _fold(unquote(url)).replace("-", "").replace(".", "")
        return {entry for entry in known if entry.replace("-", "").replace(".", "") in bare}
    host, slash, path = _address(url).partition("/")
    if kind == "domains":
        labels = host.split(".")
        return {name for start in range(len(labels)) if (name := ".".join(labels[start:])) in known}
    steps = (host + slash + path).split("/")
    return {name for stop in range(1, len(steps) + 1) if (name := "/".join(steps[:stop])) in known}


def _address(url: str) -> str:
    """`host/path` in lower case without scheme, `www.`, port, query and the last `/`; international names as ASCII."""
    text = url.strip().removeprefix("*.")
    try:
        parts = urlsplit(text if "://" in text else "//" + text)
        host = (parts.hostname or "").rstrip(".").removeprefix("www.")
    except ValueError:
        return ""
    if not host.isascii():
        with suppress(UnicodeError):
            host = host.encode("idna").decode()
    return (host + unquote(parts.path).lower()).rstrip("/")


def shown_terms(counted: Counter[str]) -> str | None:
    """The most frequent terms with their hits as a JSON object, None for none."""
    top = sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:SHOWN_TERMS]
    return json.dumps({term[:SHOWN_CHARACTERS]: count for term, count in top}, ensure_ascii=False) if top else None
