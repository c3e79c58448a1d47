"""Handles: part by part, by role, from any reader of objects."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.core.artifacts import Artifact, read_table
from pipelines.core.manifest import Manifest, Part, StoredFile
from pipelines.core.parts import PartResult


class Folder:
    """Objects as files of one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.read: list[str] = []

    def path_of(self, digest: str) -> Path:
        self.read.append(digest)
        return self.root / digest


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    for number in range(2):
        table = pa.table({"x": [number, 10 + number], "y": ["a", "b"]}).replace_schema_metadata({"k": "v"})
        pq.write_table(table, tmp_path / f"table{number}")
    (tmp_path / "note").write_bytes(b'{"n": 1}')
    table = [StoredFile(object=f"table{number}", bytes=1, rows=2, rows_digest="r") for number in range(2)]
    note = StoredFile(object="note", bytes=8, rows_digest="r")
    parts = (
        Part(name="0", files={"documents": table[0]}),
        Part(name="1", files={"note": note}),
        Part(name="2", files={"documents": table[1], "note": note}),
    )
    manifest = Manifest(
        asset="a", partition="b.c", artifact_class="pure", action="x", content="y", algorithms={}, config={}, inputs={},
        parts=parts, counts={}, checks=(),
    )  # fmt: skip
    return Artifact(manifest, "d" * 64, Folder(tmp_path))


def test_tables_come_part_by_part_and_lazily(artifact: Artifact) -> None:
    tables = artifact.tables("documents", ["x"])
    part, table = next(tables)
    assert (part.name, table.to_pydict()) == ("0", {"x": [0, 10]})
    assert artifact.objects.read == ["table0"]  # type: ignore[attr-defined]
    assert [part.name for part, _ in tables] == ["2"]


def test_a_whole_role_is_every_part_in_order(artifact: Artifact) -> None:
    assert artifact.whole("documents").to_pydict() == {"x": [0, 10, 1, 11], "y": ["a", "b", "a", "b"]}
    assert artifact.json("note") == {"n": 1}
    assert artifact.table(artifact.parts[2], "documents", ["y"]).to_pydict() == {"y": ["a", "b"]}


def test_a_missing_role_is_named(artifact: Artifact) -> None:
    for read in (artifact.whole, artifact.bytes_of, artifact.json):
        with pytest.raises(KeyError, match=r"a b\.c: no part has the role 'decisions'"):
            read("decisions")
    assert list(artifact.tables("decisions")) == []


def test_schema_metadata_is_not_rows(artifact: Artifact, tmp_path: Path) -> None:
    assert read_table(tmp_path / "table0").schema.metadata is None


def test_a_reference_names_content_and_manifest(artifact: Artifact) -> None:
    reference = artifact.reference()
    assert (reference.asset, reference.partition) == ("a", "b.c")
    assert (reference.content, reference.manifest) == ("y", "d" * 64)


def test_a_part_result_has_no_arrays_unless_given() -> None:
    assert PartResult({}, {"rows_in": 0}).arrays == {}
