"""A document's way through every stage: where it came from, every rule's value, who it duplicates, what was edited,
which split it is in and how many tokens it became. As text, or as a page.
"""

import json
import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assets.stories import story_of_document
from assets.wording import printable
from pipelines.core.artifacts import Artifact
from pipelines.core.documents import batch_prefix
from pipelines.core.errors import UnknownNameError
from pipelines.core.sampling import id_bytes
from pipelines.evaluation.reports.document import DocumentStory, document_html
from resources.mill import Mill

_ID = re.compile(r"[0-9a-f]{32}")
_BEGINNING = re.compile(r"[0-9a-f]{9,31}")
"""Of an id: the 8 digits of its batch and some of its own."""
CANDIDATES = 4000
"""URLs of one host that a mistyped one is compared with; the comparison takes about 50 µs each."""
NEAR_DIGITS = 6


def explain(mill: Mill, wanted: str) -> Iterator[str]:
    """Lines about a document, by id, beginning of an id, or URL. Raises `UnknownNameError` with what is near."""
    for number, story in enumerate(stories(mill, wanted)):
        if number:
            yield ""
        yield from story_lines(story)


def stories(mill: Mill, wanted: str) -> list[DocumentStory]:
    """The stories of the documents with this id or URL; a URL may have been crawled more than once."""
    wanted = wanted.strip()
    if _BEGINNING.fullmatch(wanted.lower()):
        wanted = _whole_id(mill, wanted.lower())
    elif _ID.fullmatch(wanted.lower()):
        wanted = wanted.lower()
    found = list(find_documents(mill, wanted))
    if not found:
        raise UnknownNameError(
            f"{printable(wanted[:300])!r} is in no batch of {mill.project.project}: give 32 hex digits (or the "
            "first of them) or the exact URL; a record that gave no document is in the table `drops` of its batch's "
            f"crawled_text{_near(mill, wanted)}"
        )
    return [story_of_document(mill, key, identity) for key, identity in found]


def write_pages(mill: Mill, wanted: str) -> Iterator[Path]:
    """The page of each document found, `documents/<id>.html` among the home's reports."""
    folder = mill.home.reports / "documents"
    for story in stories(mill, wanted):
        folder.mkdir(parents=True, exist_ok=True)
        page, unfinished = folder / f"{story.id}.html", folder / f".{story.id}.{os.getpid()}"
        unfinished.write_text(document_html(story), "utf-8")
        unfinished.replace(page)
        yield page


def find_documents(mill: Mill, wanted: str) -> Iterator[tuple[str, bytes]]:
    """(batch key, id) of the documents with this id or URL, in ordinal order; an id names its batch by its prefix."""
    by_id = bytes.fromhex(wanted) if _ID.fullmatch(wanted) else None
    for key, crawled in _crawled(mill):
        if by_id is not None and not by_id.startswith(batch_prefix(key)):
            continue
        column = "url" if by_id is None else "id"
        value = wanted if by_id is None else by_id
        for _, table in crawled.tables("documents", ["id", column] if column != "id" else ["id"]):
            mask = pc.equal(table[column], pa.scalar(value, table[column].type))
            yield from ((key, identity) for identity in table.filter(mask)["id"].to_pylist())


def _crawled(mill: Mill) -> Iterator[tuple[str, Artifact]]:
    for key in mill.sealed():
        crawled = mill.store.latest("crawled_text", key)
        if crawled is not None:
            yield key, crawled


def _whole_id(mill: Mill, beginning: str) -> str:
    """The one id that begins so, or `beginning` itself. Raises `UnknownNameError` where several do."""
    found = []
    for key, crawled in _crawled(mill):
        if batch_prefix(key).hex() == beginning[:8]:
            for _, table in crawled.tables("documents", ["id"]):
                digits = [row.tobytes().hex() for row in id_bytes(table["id"])]
                found += [item for item in digits if item.startswith(beginning)]
    if len(found) > 1:
        raise UnknownNameError(f"{len(found)} ids begin with {beginning}, such as {', '.join(sorted(found)[:4])}")
    return found[0] if found else beginning


def _near(mill: Mill, wanted: str) -> str:
    """`; did you mean ...?`: the id with the fewest other digits, the closest URL of its host, or the closest host."""
    if _ID.fullmatch(wanted):
        return _near_id(mill, wanted)
    host = urlsplit(wanted).netloc if "://" in wanted else ""
    urls: list[str] = []
    hosts: set[str] = set()
    for _, crawled in _crawled(mill):
        for _, table in crawled.tables("documents", ["url"]):
            column = pc.drop_null(table["url"])
            if host:
                column = column.filter(pc.match_substring(column, f"//{host}"))
            else:
                column = column.filter(pc.match_substring(column, wanted[:200])) if wanted else column[:0]
            urls += column[: max(0, CANDIDATES - len(urls))].to_pylist()
            if host and not urls:
                hosts |= {urlsplit(url).netloc for url in pc.unique(table["url"]).to_pylist()[:CANDIDATES] if url}
    near = get_close_matches(wanted, urls, 1) or sorted(urls, key=len)[:1]
    if near:
        return f"; did you mean {printable(near[0])}?"
    closest = get_close_matches(host, sorted(hosts), 1) if host else []
    return f"; no page of {printable(host)} is there, did you mean the host {printable(closest[0])}?" if closest else ""


def _near_id(mill: Mill, wanted: str) -> str:
    """By hexadecimal digits that differ, over the ids of every batch."""
    target = np.frombuffer(bytes.fromhex(wanted), np.uint8)
    best, nearest = NEAR_DIGITS + 1, ""
    for _, crawled in _crawled(mill):
        for _, table in crawled.tables("documents", ["id"]):
            rows = id_bytes(table["id"])
            if not len(rows):
                continue
            other = rows ^ target
            distance = ((other >> 4) > 0).sum(axis=1) + ((other & 15) > 0).sum(axis=1)
            place = int(distance.argmin())
            if int(distance[place]) < best:
                best, nearest = int(distance[place]), rows[place].tobytes().hex()
    if nearest:
        return f"; did you mean {nearest}?"
    known = any(batch_prefix(key).hex() == wanted[:8] for key in mill.sealed())
    return "" if known else f"; no batch has ids that begin with {wanted[:8]}"


def story_lines(story: DocumentStory) -> Iterator[str]:
    """A story as text."""
    yield f"document {story.id}"
    yield f"  batch      {story.key}, part {story.part}"
    yield f"  url        {printable(story.url or '-')}"
    yield f"  locator    {printable(story.locator)}"
    yield f"  fetched    {story.fetched_at or '-'}"
    yield f"  text       {story.characters:,} characters, hash {story.text_hash}"
    yield f"             {json.dumps(printable(story.text[:120].replace(chr(10), ' ')), ensure_ascii=False)}"
    if story.meta:
        yield f"  meta       {printable(story.meta[:300])}"
    for stage in story.stages:
        label = LABELS.get(stage.asset, "tokens" if stage.asset.endswith("/token_arrays") else "")
        if not label:
            continue
        words = f"{stage.asset.split('/')[0]}: {stage.verdict}" if label == "tokens" else stage.verdict
        yield f"  {label:<10} {printable(words)}"
        for name, value in stage.details:
            yield f"    {name:<9}{printable(value)}" if name != "split" else f"  {name:<10} {value}"
        if stage.asset == "filtered_documents":
            yield from _rule_lines(story)
    for note in story.notes:
        yield f"  note       {note}"


LABELS = {
    "source_files": "source",
    "filtered_documents": "filter",
    "duplicate_matches": "duplicate",
    "sensitive_spans": "sensitive",
    "contamination": "benchmark",
    "clean_documents": "cleaning",
}


def _rule_lines(story: DocumentStory) -> Iterator[str]:
    width = max((len(item.rule) for item in story.verdicts), default=0)
    for item in story.verdicts:
        near = "  (near)" if item.near else ""
        yield (
            f"    {item.verdict:<5} {item.rule:<{width}}  {item.signal} = {printable(item.value)}, must be "
            f"{item.comparison} {item.threshold}{near}"
        )
