"""The manifest: what an artifact is made of, from what, and by which code and configuration.

A manifest is canonical JSON, itself stored under the SHA-256 of its bytes, so equal work gives an equal manifest. It
holds no clock, host, path or speed: those go to the run's log. It is written after every part and before the
reference, so a manifest that can be found names only files that are whole.
"""

import json
import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pipelines.core.fingerprint import content_digest, digest_json

FORMAT = 1
ArtifactClass = Literal["pure", "recorded", "trained"]


class Record(BaseModel):
    """A frozen JSON record of the store."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StoredFile(Record):
    """One file of a part. `rows` and its digest describe a table; other files have their byte digest as rows digest."""

    object: str = Field(description="SHA-256 of the bytes: the file's name in the store")
    bytes: int
    rows: int | None = None
    rows_digest: str


class Part(Record):
    """Files by role, in lines with the parts of the same name upstream and downstream."""

    name: str
    files: dict[str, StoredFile]
    counts: dict[str, int] = {}


class InputReference(Record):
    """An input artifact as it was used: the content digest entered the action, the manifest digest leads to it."""

    asset: str
    partition: str | None
    content: str
    manifest: str


class CheckRecord(Record):
    """One check's verdict at publication, emitted again whenever the artifact is."""

    name: str
    passed: bool
    blocking: bool = True
    description: str = ""
    values: dict[str, float | int | str | bool] = {}

    @field_validator("values")
    @classmethod
    def _spell_out(cls, values: dict[str, float | int | str | bool]) -> dict[str, float | int | str | bool]:
        """JSON has no NaN and no infinity: a check that met one says so in words."""
        finite = {name: not isinstance(value, float) or math.isfinite(value) for name, value in values.items()}
        return {name: value if finite[name] else str(value) for name, value in values.items()}


class Manifest(Record):
    """One immutable artifact."""

    format: int = FORMAT
    asset: str
    partition: str | None
    artifact_class: ArtifactClass
    action: str
    content: str
    algorithms: dict[str, int]
    config: dict[str, Any]
    inputs: dict[str, InputReference]
    parts: tuple[Part, ...]
    counts: dict[str, int]
    checks: tuple[CheckRecord, ...]
    facts: dict[str, Any] = Field(
        default={}, description="Small results and records, JSON-ready, for people and checks; NaN is stored as null"
    )

    @field_validator("parts")
    @classmethod
    def _distinct(cls, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        names = [part.name for part in parts]
        twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
        if twice:
            raise ValueError(f"parts share a name: {', '.join(twice)}; lines between stages go by name")
        return parts

    def encode(self) -> bytes:
        """Canonical bytes: sorted keys, no spaces, a final line end."""
        value = self.model_dump(mode="json")
        return (
            json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False) + "\n"
        ).encode()

    @classmethod
    def decode(cls, data: bytes) -> "Manifest":
        return cls.model_validate_json(data)

    @property
    def bytes(self) -> int:
        return sum(file.bytes for part in self.parts for file in part.files.values())

    def rows(self, role: str) -> int:
        """Rows of `role` over all parts."""
        return sum(part.files[role].rows or 0 for part in self.parts if role in part.files)


def content_of(artifact_class: ArtifactClass, action: str, parts: tuple[Part, ...]) -> str:
    """The content digest: of the rows, or for a trained artifact its training identity (the action)."""
    if artifact_class == "trained":
        return digest_json({"training": action})
    return content_digest(
        (part.name, role, file.rows_digest) for part in parts for role, file in sorted(part.files.items())
    )


def total_counts(parts: tuple[Part, ...]) -> dict[str, int]:
    """Counts summed over the parts, by name."""
    totals: dict[str, int] = {}
    for part in parts:
        for name, count in part.counts.items():
            totals[name] = totals.get(name, 0) + count
    return dict(sorted(totals.items()))


def conservation(counts: dict[str, int]) -> CheckRecord:
    """`rows_in = kept + dropped, by reason`, for stages that judge rows; parts that count no rows fail it."""
    dropped = sum(count for name, count in counts.items() if name.startswith("dropped/"))
    rows_in, kept = counts.get("rows_in", 0), counts.get("kept", 0)
    return CheckRecord(
        name="conserved",
        passed=rows_in == kept + dropped and ("rows_in" in counts or not counts),
        description="every row that came in was kept or dropped for a named reason",
        values={"rows_in": rows_in, "kept": kept, "dropped": dropped},
    )
