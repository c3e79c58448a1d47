"""Removals: which documents have to go because somebody asked, by id, URL, URL prefix or source.

In: requests (kind, value), documents, and the match table of dedup. A request for one copy takes its whole duplicate
group: the leader that stands for it in the corpus, and every other copy. Steps: `expand_removals` reads the documents
*before* dedup, where copies still have their URLs, and gives the requested ids and their leaders; `removed_mask`
says which rows of a part go. Index entries stay, so later copies of a removed leader keep being dropped by dedup.

Values are compared exactly, character by character; nothing is unescaped, lower-cased or guessed. A prefix `https://a.b/c`
also takes `https://a.b/cd`; end it with `/` to name a folder.
"""

from collections.abc import Iterable
from typing import Final

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.documents import ID_BYTES
from pipelines.core.errors import GristmillError
from pipelines.core.fingerprint import Algorithm

REMOVALS: Final = Algorithm("removals", 1)

REMOVAL_SCHEMA: Final = pa.schema(
    [pa.field("kind", pa.string(), nullable=False), pa.field("value", pa.large_string(), nullable=False)]
)
KINDS: Final = ("id", "url", "url_prefix", "source")


class BadRemovalError(GristmillError, ValueError):
    """A removal request that names no document in any known way."""


def check_removals(removals: pa.Table) -> None:
    """Raise BadRemovalError naming the first row that cannot be applied; an ignored takedown would be worse."""
    for row, request in enumerate(removals.select(["kind", "value"]).to_pylist()):
        kind, value = request["kind"], request["value"]
        if kind not in KINDS:
            raise BadRemovalError(f"removal {row}: kind {str(kind)[:40]!r} is unknown; use one of {', '.join(KINDS)}")
        if not value:
            raise BadRemovalError(f"removal {row} of kind {kind} has no value")
        if kind == "id" and not _is_id(value):
            raise BadRemovalError(f"removal {row}: id {value[:40]!r} is not {2 * ID_BYTES} hexadecimal digits")


def _is_id(value: str) -> bool:
    try:
        return len(value) == 2 * ID_BYTES and len(bytes.fromhex(value)) == ID_BYTES
    except ValueError:
        return False


def removed_mask(documents: pa.Table, removals: pa.Table) -> pl.Series:
    """True for the rows that a request names directly; boolean, one per row.

    `documents` needs id, url and source; `url` may be null and then matches nothing.
    """
    check_removals(removals)
    wanted: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for request in removals.select(["kind", "value"]).to_pylist():
        wanted[request["kind"]].append(request["value"])
    frame = pl.DataFrame(
        {
            "id": pl.Series(documents["id"].cast(pa.binary()), dtype=pl.Binary),
            "url": pl.Series(documents["url"], dtype=pl.String),
            "source": pl.Series(documents["source"], dtype=pl.String),
        }
    )
    hits = [
        frame["id"].is_in(pl.Series([bytes.fromhex(value) for value in wanted["id"]], dtype=pl.Binary).implode()),
        frame["url"].is_in(pl.Series(wanted["url"], dtype=pl.String).implode()),
        frame["source"].is_in(pl.Series(wanted["source"], dtype=pl.String).implode()),
    ]
    for length in sorted({len(prefix) for prefix in wanted["url_prefix"]}):
        prefixes = pl.Series([p for p in wanted["url_prefix"] if len(p) == length], dtype=pl.String)
        hits.append(frame["url"].str.slice(0, length).is_in(prefixes.implode()))
    mask = pl.Series([False] * len(frame), dtype=pl.Boolean)
    for hit in hits:
        mask = mask | hit.fill_null(False)
    return mask


def expand_removals(removals: pa.Table, documents: Iterable[pa.Table], groups: Iterable[pa.Table]) -> pa.Table:
    """The requests plus one `id` request for every member of every touched duplicate group, sorted.

    `documents`: id, url, source of all documents before dedup, of the new batch and of earlier ones. `groups`: dedup's
    match tables (id, leader_id). A leader is a kept document, so a group is a star and one step reaches all of it.
    """
    named: set[bytes] = set()
    for part in documents:
        named.update(part["id"].filter(pa.array(removed_mask(part, removals).to_arrow())).to_pylist())
    named.update(bytes.fromhex(row["value"]) for row in removals.to_pylist() if row["kind"] == "id")
    pairs = [part.select(["id", "leader_id"]) for part in groups]
    leaders = {pair["leader_id"] for part in pairs for pair in part.to_pylist() if pair["id"] in named} | named
    touched = set(named)
    for part in pairs:
        member = pc.is_in(part["leader_id"], pa.array(sorted(leaders), part["leader_id"].type))
        touched.update(part["id"].filter(member).to_pylist())
        touched.update(part["leader_id"].filter(member).to_pylist())
    ids = pa.table({"kind": ["id"] * len(touched), "value": sorted(key.hex() for key in touched)}, REMOVAL_SCHEMA)
    rows = pl.DataFrame(pa.concat_tables([removals.select(["kind", "value"]).cast(REMOVAL_SCHEMA), ids]))
    return rows.unique().sort(["kind", "value"]).to_arrow().cast(REMOVAL_SCHEMA)
