"""PDF to records: one file, one document, as text in reading order.

A file comes in. Step 1: PDFium, in a process with limits (`guarded.child`), gives the text of each page. Step 2: lines
that stand at the head or foot of most pages go (running titles, page numbers; of two or three pages only what all have
in one place, with numbers that count). Step 3: lines that were only broken to
fit the page are joined: a line that fills at least three quarters of the page's measure and the line behind it are one
paragraph, with nothing between where a hyphen was PDFium's soft one or the script is written without spaces. Scanned
pages have no text; a file of them is a drop. Locator: `name#0`. Needs the extra `documents`. Cost: 0.2 s a file, then
2 to 10 MB/s of text.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.guarded import pdf_text
from pipelines.corpus.acquisition.guarded.child import Limits, run_guarded
from pipelines.corpus.acquisition.records import Drop, Record, detail

SECONDS: Final = 60
SECONDS_PER_MEGABYTE: Final = 2
MEMORY: Final = 4 << 30
FULL_LINE: Final = 0.75
"""A line of this share of the measure was broken by the page and not by its author."""
EDGE_LINES: Final = 2
REPEATED: Final = 0.5
MIN_PAGES: Final = 4
"""Running titles repeat on at least half of the pages (of a chapter: on three, and have a page number); fewer pages
than this are too few to count on."""
_NUMBER = re.compile(r"\d{1,6}")
_DIGITS = re.compile(r"\d+|\b[ivxlc]+\b")
_STARTS = re.compile(r"[-•▪◦‣*–]\s|\(?\d{1,3}[.)]\s")
_UNSPACED = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]")


def read_records(path: Path, name: str, config: ReaderConfig) -> Iterator[Record | Drop]:
    """The one document of the PDF at `path`, or the drop that says why it is none; a page that fails is a drop."""
    locator = f"{name}#0"
    with path.open("rb") as stream:
        if b"%PDF-" not in stream.read(1024):
            yield Drop(locator, "not_a_pdf", "no %PDF header in the first 1,024 bytes")
            return
    limits = Limits(SECONDS + SECONDS_PER_MEGABYTE * (path.stat().st_size >> 20), MEMORY, 0)
    arguments = [str(path.resolve()), str(config.max_record_bytes)]
    answer = run_guarded(pdf_text.__name__, arguments, limits)
    if answer.reason:
        yield Drop(locator, answer.reason, detail(answer.detail))
        return
    head, *pages = [json.loads(line) for line in answer.output.splitlines()]
    for number, page in enumerate(pages, start=1):
        if "error" in page:
            yield Drop(f"{name}#page-{number}", "unreadable_page", detail(page["error"]))
    text = pages_text([page.get("text", "") for page in pages])
    if not text.strip():
        yield Drop(locator, "no_text", f"{head['pages']} pages without text: scanned, or drawn as curves")
        return
    yield Record(
        locator=locator,
        url=None,
        body=text,
        content_type="application/pdf",
        charset=None,
        fetched_at=None,
        meta=_meta(head),
        kind="text",
    )


def _meta(head: dict[str, Any]) -> dict[str, Any]:
    kept = {name.lower(): value for name, value in head["properties"].items() if value.strip()}
    return {**kept, "pages": head["pages"]}


def pages_text(pages: list[str]) -> str:
    """The text of a document from that of its pages."""
    split = [[line.strip() for line in page.replace("\x02\r\n", "\ufffe").splitlines()] for page in pages]
    running = _running_lines(split)
    kept = [_without_edges(lines, running) for lines in split]
    return "\n\n".join(text for lines in kept if (text := _paragraphs(lines)))


def _shape(line: str) -> str:
    """A running line without its page number."""
    return _DIGITS.sub("0", line.lower())


def _running_lines(pages: list[list[str]]) -> set[str]:
    """Lines, but for their numbers, that stand at the edge of many pages."""
    filled = [lines for lines in pages if any(lines)]
    if len(filled) < MIN_PAGES:
        return _running_in_few(filled)
    seen = Counter(shape for lines in filled for shape in {_shape(line) for line in _edges(lines)})
    return {shape for shape, count in seen.items() if count >= (3 if "0" in shape else max(3, REPEATED * len(filled)))}


def _running_in_few(pages: list[list[str]]) -> set[str]:
    """The same of two or three pages: a line that all have in one place, word for word or with a number that counts."""
    inked = [[line for line in lines if line] for lines in pages]
    if len(inked) < 2 or min(map(len, inked)) <= 2 * EDGE_LINES:
        return set()
    found: set[str] = set()
    for side in (range(EDGE_LINES), range(-1, -EDGE_LINES - 1, -1)):
        for place in side:  # from the edge inwards, as far as the pages agree
            lines = [page[place] for page in inked]
            if len(set(map(_shape, lines))) > 1 or (len(set(lines)) > 1 and not _counts(lines)):
                break
            found.add(_shape(lines[0]))
    return found


def _counts(lines: list[str]) -> bool:
    """Whether a number in the lines is one more from page to page."""
    numbers = [[int(number) for number in _NUMBER.findall(line)] for line in lines]
    return any(all(after - before == 1 for before, after in pairwise(column)) for column in zip(*numbers, strict=False))


def _edges(lines: list[str]) -> list[str]:
    inked = [line for line in lines if line]
    return inked[:EDGE_LINES] + inked[-EDGE_LINES:]


def _without_edges(lines: list[str], running: set[str]) -> list[str]:
    """The lines without running ones at the head and the foot."""
    inked = [number for number, line in enumerate(lines) if line]
    edges = {*inked[:EDGE_LINES], *inked[-EDGE_LINES:]}
    return [line for number, line in enumerate(lines) if number not in edges or _shape(line) not in running]


def _paragraphs(lines: list[str]) -> str:
    """Lines joined to paragraphs."""
    widths = sorted(len(line) for line in lines if line)
    if not widths:
        return ""
    full = FULL_LINE * widths[int(0.9 * (len(widths) - 1))]
    out: list[str] = []  # lines, and what joins them
    open_paragraph = False
    for line in lines:
        if not line:
            open_paragraph = False
            continue
        if open_paragraph and not _STARTS.match(line):
            spaced = not (_UNSPACED.match(line) and _UNSPACED.match(out[-1][-1:]))
            out += (" " if spaced else "", line)
        else:
            out += ("\n", line)
        open_paragraph = len(line) >= full
    return "".join(out[1:]).replace("\ufffe", "")
