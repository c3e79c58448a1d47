"""Handles: a published artifact as the library sees it.

A handle is a manifest plus a way to reach the bytes; it never says where the store is. Tables are read part by part,
so a stage's memory is bounded by a part, not by a batch.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.core.manifest import InputReference, Manifest, Part


class ObjectReader(Protocol):
    """Reaches stored bytes: a local path for a digest, fetched first when the store is remote."""

    def path_of(self, digest: str) -> Path: ...


@dataclass(frozen=True)
class Artifact:
    """A published artifact: `manifest`, the digest of the manifest's bytes, and the reader of its files."""

    manifest: Manifest
    digest: str
    objects: ObjectReader

    @property
    def content(self) -> str:
        return self.manifest.content

    @property
    def parts(self) -> tuple[Part, ...]:
        return self.manifest.parts

    def reference(self) -> InputReference:
        """This artifact as an input of another."""
        manifest = self.manifest
        return InputReference(
            asset=manifest.asset, partition=manifest.partition, content=manifest.content, manifest=self.digest
        )

    def path(self, part: Part, role: str) -> Path:
        return self.objects.path_of(part.files[role].object)

    def table(self, part: Part, role: str, columns: Sequence[str] | None = None) -> pa.Table:
        """One part's table, `columns` only if given."""
        return read_table(self.path(part, role), columns)

    def tables(self, role: str, columns: Sequence[str] | None = None) -> Iterator[tuple[Part, pa.Table]]:
        """The parts that have `role`, in order, one table in memory at a time."""
        for part in self.parts:
            if role in part.files:
                yield part, self.table(part, role, columns)

    def whole(self, role: str, columns: Sequence[str] | None = None) -> pa.Table:
        """All parts of `role` as one table: for tables that are small by nature (reports, weights, decisions)."""
        tables = [table for _, table in self.tables(role, columns)]
        if not tables:
            raise KeyError(f"{self.manifest.asset} {self.manifest.partition or ''}: no part has the role {role!r}")
        return pa.concat_tables(tables)

    def json(self, role: str) -> Any:
        """The JSON file of `role` in the first part that has it."""
        return json.loads(self.bytes_of(role))

    def bytes_of(self, role: str) -> bytes:
        """The bytes of the first file of `role`."""
        for part in self.parts:
            if role in part.files:
                return self.path(part, role).read_bytes()
        raise KeyError(f"{self.manifest.asset} {self.manifest.partition or ''}: no part has the role {role!r}")


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A Parquet part. The schema metadata is dropped: rows are what counts."""
    return pq.read_table(path, columns=None if columns is None else list(columns)).replace_schema_metadata(None)
