"""Stack Exchange dumps to records: a question with its answers is one document.

One `Posts.xml` comes in, plain or compressed, or the `.7z` that a site is published as. Step 1: of a 7z, `Posts.xml` is
written to a scratch file by a process with limits. Step 2: each line with a `<row .../>` is XML of its own, parsed by
an expat of its own that refuses document types, so a bad line is one drop and no entity is declared. Step 3: questions
and answers go into a scratch database on disk, because an answer may come gigabytes after its question. Step 4: they
are read back by question: the title, the question, then the answers, the accepted one first, the others by score, the
older first. HTML becomes text; tags, scores and counts go into `meta`. Answers without a question, and posts that are
neither (wiki pages, tag descriptions), are drops. Locator: `name#question`. Cost: 2 MB/s a core, twice the file on disk
meanwhile; memory is one thread.
"""

import re
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from xml.parsers import expat

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.guarded import seven_zip
from pipelines.corpus.acquisition.guarded.child import Limits, run_guarded
from pipelines.corpus.acquisition.lines import Line, split_lines, utf8_chunks
from pipelines.corpus.acquisition.readers.markup import markup_text
from pipelines.corpus.acquisition.readers.packed_xml import UnreadableError
from pipelines.corpus.acquisition.records import Drop, Record, detail, moment
from pipelines.corpus.acquisition.streams import FILE_EXPANSION_FLOOR, Problem, decompressed

SEVEN_ZIP: Final = b"7z\xbc\xaf\x27\x1c"
MEMBER: Final = "Posts.xml"
SECONDS: Final = 120
BYTES_PER_SECOND: Final = 200 << 10
"""Compressed bytes that are granted a processor second; 7z takes about a tenth of it."""
MEMORY: Final = 8 << 30
QUESTION, ANSWER = "1", "2"
_TAG = re.compile(r"<([^<>]+)>|([^|<>]+)")
_TABLES: Final = """
CREATE TABLE post (question INTEGER, answer INTEGER, score INTEGER, post INTEGER, title TEXT, body TEXT, tags TEXT,
accepted INTEGER, created TEXT, licence TEXT, views INTEGER)
"""
_ORDER: Final = "SELECT * FROM post ORDER BY question, answer, score DESC, post"


def read_records(path: Path, name: str, config: ReaderConfig) -> Iterator[Record | Drop]:
    """Questions with their answers of the dump at `path`; `name` is its path in the inventory."""
    with path.open("rb") as stream:
        packed = stream.read(len(SEVEN_ZIP)) == SEVEN_ZIP
    with tempfile.TemporaryDirectory(prefix="gristmill-posts-") as scratch:
        posts = path
        if packed:
            posts = Path(scratch) / MEMBER
            size = path.stat().st_size
            limits = Limits(
                SECONDS + size // BYTES_PER_SECOND, MEMORY, FILE_EXPANSION_FLOOR + config.max_expansion * size
            )
            arguments = [str(path.resolve()), MEMBER, str(posts)]
            answer = run_guarded(seven_zip.__name__, arguments, limits)
            if answer.reason:
                yield Drop(f"{name}#0", answer.reason, detail(answer.detail))
                return
        with closing(sqlite3.connect(Path(scratch) / "posts.db", isolation_level=None)) as store:
            for setting in ("journal_mode=OFF", "synchronous=OFF", "temp_store=FILE", "locking_mode=EXCLUSIVE"):
                store.execute(f"PRAGMA {setting}")
            store.execute(f"PRAGMA temp_store_directory='{scratch}'")
            store.execute(_TABLES)
            store.execute("BEGIN")
            yield from _collect(posts, name, config, store)
            store.execute("COMMIT")
            yield from _threads(store, name, config)


def _collect(posts: Path, name: str, config: ReaderConfig, store: sqlite3.Connection) -> Iterator[Drop]:
    """Every post into the store; drops for what is none."""
    for line in split_lines(utf8_chunks(decompressed(posts, config), config.encoding), config.max_line_bytes):
        if isinstance(line, Problem):
            yield Drop(f"{name}#byte-{line.place}", line.reason, line.detail)
            continue
        locator = f"{name}#line-{line.number}"
        if line.torn:
            yield Drop(locator, "torn_record", f"the line breaks off after {line.size} bytes")
        elif line.size > config.max_line_bytes:
            yield Drop(locator, "line_too_long", f"{line.size} bytes, the limit is {config.max_line_bytes}")
        elif b"<row" in line.data:
            row = _parse(line, locator)
            if isinstance(row, Drop):
                yield row
            else:
                store.execute("INSERT INTO post VALUES (?,?,?,?,?,?,?,?,?,?,?)", row)
        elif _is_foreign(line.data):
            yield Drop(locator, "bad_xml", detail(line.data[:80].decode("utf-8", "replace")))


def _is_foreign(line: bytes) -> bool:
    """Whether a line without a row is more than the frame of the dump."""
    words = line.strip()
    return bool(words) and not words.startswith((b"<?xml", b"<posts", b"</posts"))


class _DoctypeError(Exception):
    """A row with a document type."""


def _refuse_doctype(*_: object) -> None:
    raise _DoctypeError("a document type declaration, which may define entities; no dump has one")


def _parse(line: Line, locator: str) -> tuple[Any, ...] | Drop:
    found: list[dict[str, str]] = []
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = lambda tag, attributes: found.append(attributes)
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(line.data, True)
    except (expat.ExpatError, _DoctypeError) as error:
        return Drop(locator, "bad_xml", detail(error))
    if len(found) != 1:
        return Drop(locator, "bad_xml", f"{len(found)} elements in one line")
    values = found[0]
    try:
        kind, number = values.get("PostTypeId", ""), int(values["Id"])
        question = number if kind == QUESTION else int(values["ParentId"]) if kind == ANSWER else 0
        if kind not in (QUESTION, ANSWER):
            return Drop(f"{locator}", "post_type", detail(kind))
        if not (0 < number < 1 << 62 and 0 < question < 1 << 62):
            raise ValueError(f"post {number} of question {question}")
        accepted, score = int(values.get("AcceptedAnswerId", "0")), int(values.get("Score", "0"))
        views = int(values.get("ViewCount") or "0")
    except (KeyError, ValueError) as error:
        return Drop(locator, "bad_row", detail(f"a post without a valid number: {error}"))
    if not all(abs(value) < 1 << 62 for value in (accepted, score, views)):
        return Drop(locator, "bad_row", "a number beyond 62 bits")
    texts = (values.get("Title", ""), values.get("Body", ""), values.get("Tags", ""))
    dates = (values.get("CreationDate", ""), values.get("ContentLicense", ""))
    return (question, int(kind == ANSWER), score, number, *texts, accepted, *dates, views)


def _threads(store: sqlite3.Connection, name: str, config: ReaderConfig) -> Iterator[Record | Drop]:
    """Posts in order of their question, thread by thread."""
    question: tuple[Any, ...] | None = None
    answers: list[tuple[Any, ...]] = []
    size = 0
    for row in store.execute(_ORDER):
        if not row[1]:
            if question is not None:
                yield _document(question, answers, size, name, config)
            question, answers, size = row, [], len(row[5])
        elif question is None or row[0] != question[0]:
            yield Drop(f"{name}#{row[3]}", "orphan_answer", f"question {row[0]} is not in the dump")
        else:
            size += len(row[5])
            if size <= config.max_record_bytes:
                answers.append(row)
    if question is not None:
        yield _document(question, answers, size, name, config)


def _document(
    question: tuple[Any, ...], answers: list[tuple[Any, ...]], size: int, name: str, config: ReaderConfig
) -> Record | Drop:
    number, _, score, _, title, body, tags, accepted, created, licence, views = question
    locator = f"{name}#{number}"
    if size > config.max_record_bytes:
        return Drop(
            locator, "record_too_large", f"{size} characters in the thread, the limit is {config.max_record_bytes}"
        )
    answers = sorted(answers, key=lambda row: (row[3] != accepted, -row[2], row[3]))
    try:
        texts = [markup_text(body), *(markup_text(row[5]) for row in answers)]
    except UnreadableError as error:
        return Drop(locator, error.reason, detail(error))
    text = "\n\n".join(part for part in (title.strip(), *texts) if part)
    if not any(texts):
        return Drop(locator, "no_text", "neither the question nor an answer has text")
    meta = {
        "title": title,
        "tags": [word for pair in _TAG.findall(tags) if (word := "".join(pair))],
        "score": score,
        "views": views,
        "answers": len(answers),
        "answer_scores": [row[2] for row in answers],
        "accepted": any(row[3] == accepted for row in answers),
        "licence": licence,
    }
    kept = {key: value for key, value in meta.items() if value not in ("", [])}
    return Record(locator, None, text, None, None, moment(created), kept, "text")
