"""Records to documents, cut into parts.

The records and drops of one unit come in, in the inventory's order. Step 1: bytes become text (`encoding`). Step 2: of
a page, the main content (`html`). Step 3: the declared normalization (`pipelines.corpus.normalization`). Step 4: what
has text becomes a document, the rest a drop. Step 5: a part ends before the record that would lift it above
`part_bytes`. Out goes one `PartResult` a part with three tables: `documents` (sorted by id), `drops`, and `positions`,
which says for every document the running number of its record in the unit, the order in which deduplication asks who
came first.

Counts: `records = kept + sum of dropped/<reason>`; beside it `bytes/text`, `encoding/<codec>`, `replaced_characters`
and `normalized/<operation>/documents`, `added`, `removed` (characters). A part's rows depend on the unit's files and
the two configurations alone. Cost: HTML 100 MB/s, text 25 to 45 MB/s a core; memory is one part and one record.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa
import xxhash

from pipelines.core.documents import DOCUMENT_SCHEMA, document_id, text_hash
from pipelines.core.fingerprint import Algorithm
from pipelines.core.parts import PartResult
from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.readers import read_records
from pipelines.corpus.acquisition.readers.latex import Siblings
from pipelines.corpus.acquisition.records import Drop, Record, detail
from pipelines.corpus.extraction.config import ExtractionConfig
from pipelines.corpus.extraction.encoding import decode
from pipelines.corpus.extraction.html import EXTRACTION, Refusal, extract_page
from pipelines.corpus.normalization.config import DEFAULT_OPERATIONS, AnyOperation
from pipelines.corpus.normalization.normalize import ALGORITHMS as NORMALIZATION
from pipelines.corpus.normalization.normalize import normalize

READING: Final = Algorithm("record_reading", 5)
EXTRACTION_ALGORITHMS: Final = (READING, EXTRACTION, *NORMALIZATION)
ROW_BYTES: Final = 256
"""What a row weighs beside its text when parts are cut, drops included, so that a million bad lines end a part too."""

DROP_SCHEMA: Final = pa.schema(
    [
        pa.field("position", pa.int64(), nullable=False),
        pa.field("locator", pa.large_string(), nullable=False),
        pa.field("reason", pa.large_string(), nullable=False),
        pa.field("detail", pa.large_string(), nullable=False),
    ]
)
POSITION_SCHEMA: Final = pa.schema(
    [
        pa.field("id", DOCUMENT_SCHEMA.field("id").type, nullable=False),
        pa.field("position", pa.int64(), nullable=False),
    ]
)


class DocumentContext(NamedTuple):
    """What the project file declares of every document of a batch; a record's own language goes before `language`."""

    source: str
    batch: str
    domain: str
    language: str | None = None
    normalization: tuple[AnyOperation, ...] = DEFAULT_OPERATIONS


class UnitFile(NamedTuple):
    """A file to read, and its path in the inventory, which locators start with."""

    path: Path
    name: str


class Extracted(NamedTuple):
    """What one record gave, and its counts."""

    item: "_Document | Drop"
    counts: dict[str, int]


Settings = tuple[ExtractionConfig, tuple[AnyOperation, ...], str | None]
"""How a record is extracted: limits and parts of pages, the normalization, and the declared language."""
Run = Callable[[Iterable[Record | Drop]], Iterator[Extracted]]
"""How records are extracted: here, one after the other, or in a process that can be killed."""
NOTHING_STOPPED: Final[Mapping[str, tuple[str, str]]] = {}


def extract_unit(
    files: Sequence[UnitFile],
    key: str,
    context: DocumentContext,
    reader: ReaderConfig,
    config: ExtractionConfig,
    siblings: Sequence[UnitFile] = (),
    run: Run | None = None,
    stopped: Mapping[str, tuple[str, str]] = NOTHING_STOPPED,
) -> Iterator[PartResult]:
    """The parts of one unit: its files read in order, as one run of records.

    `siblings` are further files that those of a linked format may include.
    """
    known = Siblings({file.name: file.path for file in (*files, *siblings)}, reader)
    records = (item for file in files for item in read_records(file.path, file.name, reader, known))
    return extract_records(records, key, context, config, run, stopped)


def extract_records(
    records: Iterable[Record | Drop],
    key: str,
    context: DocumentContext,
    config: ExtractionConfig,
    run: Run | None = None,
    stopped: Mapping[str, tuple[str, str]] = NOTHING_STOPPED,
) -> Iterator[PartResult]:
    """Documents of the records in batch `key`, a part at a time; every record is a document or a drop of some part.

    `stopped` are the records, by locator, that an earlier run had to stop, with reason and detail: they are dropped as
    they were then, so that the rows do not depend on the machine's speed of today.
    """
    part = _Part(key, context)
    wanted = _without(records, stopped)
    settings = config, context.normalization, context.language
    results = run(wanted) if run else (extracted((settings, record)) for record in wanted)
    for position, result in enumerate(results):
        item = result.item
        for name, count in result.counts.items():
            part.counts.add(name, count)
        size = ROW_BYTES + (item.bytes if isinstance(item, _Document) else 0)
        if part.size and part.size + size > config.part_bytes:
            # The record's own counts came with it: they move on to the part that it opens.
            following = _Part(key, context)
            following.counts = part.take_pending()
            yield part.result()
            part = following
        part.add(item, position, size)
    if part.size:
        yield part.result()


def warm_up() -> None:
    """Load or compile every kernel and table, so that no document pays for them."""
    extract_page(b"<html><body><p>A page.</p></body></html>", ExtractionConfig())
    normalize("e\u0301")


def _without(records: Iterable[Record | Drop], stopped: Mapping[str, tuple[str, str]]) -> Iterator[Record | Drop]:
    for record in records:
        known = None if isinstance(record, Drop) else stopped.get(record.locator)
        yield record if known is None else Drop(record.locator, *known)


class _Document(NamedTuple):
    record: Record
    text: str
    bytes: int
    meta: dict[str, object]
    language: str | None


def extracted(item: tuple[Settings, Record | Drop]) -> Extracted:
    """One record's text in normal form, or the drop that says why there is none."""
    settings, record = item
    if isinstance(record, Drop):
        return Extracted(record, {})
    counts: Counter[str] = Counter()
    found = _document(record, settings, counts)
    if isinstance(found, _Document):
        found = found._replace(record=record._replace(body=""))  # the text is all that is needed from here
    return Extracted(found, +counts)


def _document(record: Record, settings: Settings, counts: Counter[str]) -> _Document | Drop:
    config, operations, declared = settings
    text, meta, language, utf8 = record.body, dict(record.meta), record.language, b""
    if isinstance(text, bytes):
        decoded = decode(text, record.charset, markup=record.kind == "html")
        if decoded.encoding == "utf-8" and decoded.evidence != "bom" and not decoded.replaced:
            utf8 = text
        text = decoded.text
        counts[f"encoding/{decoded.encoding}"] += 1
        counts["replaced_characters"] += decoded.replaced
        if decoded.replaced:
            meta["replaced_characters"] = decoded.replaced
    if record.kind == "html":
        page = extract_page(utf8 or text.encode("utf-8", "replace"), config)
        if isinstance(page, Refusal):
            return Drop(record.locator, page.reason, detail(page.detail))
        text, language = page.text, language or page.language
        if page.title:
            meta["title"] = page.title
    normalized = normalize(text, operations, language or declared)
    for name, count in normalized.counts.items():
        counts[f"normalized/{name}"] += count
    if not normalized.text.strip():
        return Drop(record.locator, "empty_text", "nothing is left after extraction")
    size = len(normalized.text.encode())
    if size > config.max_text_bytes:
        return Drop(record.locator, "record_too_large", f"{size} bytes of text, the limit is {config.max_text_bytes}")
    return _Document(record, normalized.text, size, meta, language)


class _Counts:
    """Counts of the records added to a part, and of the one record that is not added yet."""

    def __init__(self) -> None:
        self.settled: Counter[str] = Counter()
        self.pending: Counter[str] = Counter()

    def add(self, name: str, count: int) -> None:
        if count:
            self.pending[name] += count

    def settle(self) -> None:
        self.settled += self.pending
        self.pending = Counter()


class _Part:
    def __init__(self, key: str, context: DocumentContext) -> None:
        self.size = 0
        self.counts = _Counts()
        self._key, self._context = key, context
        self._documents: list[tuple[bytes, int, _Document]] = []
        self._drops: list[tuple[int, Drop]] = []
        self._ids: set[bytes] = set()

    def take_pending(self) -> _Counts:
        moved = _Counts()
        moved.pending, self.counts.pending = self.counts.pending, Counter()
        return moved

    def add(self, item: _Document | Drop, position: int, size: int) -> None:
        if isinstance(item, _Document):
            identity = document_id(self._key, item.record.locator)
            if identity in self._ids:
                item = Drop(item.record.locator, "duplicate_locator", "an earlier record has this place")
            else:
                self._ids.add(identity)
                self._documents.append((identity, position, item))
                self.counts.add("kept", 1)
                self.counts.add("bytes/text", item.bytes)
        if isinstance(item, Drop):
            self._drops.append((position, item))
            self.counts.add(f"dropped/{item.reason}", 1)
        self.counts.add("records", 1)
        self.counts.settle()
        self.size += size

    def result(self) -> PartResult:
        rows = sorted(self._documents, key=lambda row: row[0])
        ids = [identity for identity, _, _ in rows]
        tables = {
            "documents": self._table(ids, [document for _, _, document in rows]),
            "positions": pa.table(
                {"id": ids, "position": [position for _, position, _ in rows]}, schema=POSITION_SCHEMA
            ),
            "drops": pa.table(
                {
                    "position": [position for position, _ in self._drops],
                    "locator": [drop.locator for _, drop in self._drops],
                    "reason": [drop.reason for _, drop in self._drops],
                    "detail": [drop.detail for _, drop in self._drops],
                },
                schema=DROP_SCHEMA,
            ),
        }
        counts = {"records": 0, "kept": 0, **dict(sorted(self.counts.settled.items()))}
        return PartResult(tables, counts)

    def _table(self, ids: list[bytes], documents: list[_Document]) -> pa.Table:
        context, size = self._context, len(documents)
        urls = [_clean(document.record.url) for document in documents]
        columns = {
            "id": ids,
            "text": [document.text for document in documents],
            "text_hash": [text_hash(document.text) for document in documents],
            "url": urls,
            "url_hash": [None if url is None else xxhash.xxh3_64_intdigest(url.encode()) for url in urls],
            "source": [context.source] * size,
            "batch": [context.batch] * size,
            "domain": [context.domain] * size,
            "language": [_clean(document.language) or context.language for document in documents],
            "fetched_at": [document.record.fetched_at for document in documents],
            "locator": [document.record.locator for document in documents],
            "meta": [_meta(document.meta) for document in documents],
        }
        return pa.table(columns, schema=DOCUMENT_SCHEMA)


def _clean(text: str | None) -> str | None:
    """Metadata that UTF-8 can hold, None for nothing."""
    return text.encode("utf-8", "replace").decode() or None if text else None


def _meta(values: dict[str, object]) -> str | None:
    # ASCII escapes keep lone surrogates out of the column; NaN is no JSON.
    return json.dumps(_finite(values), sort_keys=True, separators=(",", ":")) if values else None


def _finite(values: dict[str, object]) -> dict[str, object]:
    return {
        name: str(value) if isinstance(value, float) and value - value != 0 else value for name, value in values.items()
    }
