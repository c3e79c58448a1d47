"""Stages: three heights of memo, row reuse, worker counts, two processes that want one key."""

import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.core.artifacts import Artifact
from pipelines.core.fingerprint import Algorithm, digest_bytes, digest_file, rows_digest
from pipelines.core.manifest import Part
from pipelines.core.parts import PartResult
from resources.backends import StoreError
from resources.compute import ComputeEngine
from resources.housekeeping import verify
from resources.locks import BusyError
from resources.stages import Action, Family, StageRunner, store_array, store_bytes, store_table, written
from resources.store import ArtifactStore, CheckFailedError
from tests.resources import toys
from tests.resources.processes import finish, finish_killed, start
from tests.resources.toys import TEXTS, files_of, open_store


@pytest.fixture
def mill(tmp_path: Path) -> toys.Mill:
    (tmp_path / "marks").mkdir()
    return toys.Mill(open_store(tmp_path), marks=tmp_path / "marks")


def forget_references(store: ArtifactStore, asset: str) -> None:
    for path, _, _ in list(store.backend.walk(f"refs/{store.project}/{asset}")):
        store.backend.delete(path)


def forget_action(store: ArtifactStore, artifact: Artifact) -> None:
    action = artifact.manifest.action
    store.backend.delete(f"memo/actions/{action[:2]}/{action}.json")


# the action ----------------------------------------------------------------------------------------------------------


def test_everything_that_decides_enters_the_action_and_nothing_else(mill: toys.Mill) -> None:
    documents, other = mill.documents(TEXTS), mill.documents(TEXTS[:2])
    base: dict[str, Any] = {
        "asset": "x", "partition": "a.b", "algorithms": (toys.KEEP,), "config": {"limit": 3},
        "inputs": {"documents": documents}, "facts": {"ordinal": 1},
    }  # fmt: skip
    changes: list[dict[str, Any]] = [
        {"asset": "y"}, {"partition": None}, {"algorithms": (Algorithm("keep", 2),)}, {"config": {"limit": 4}},
        {"inputs": {"documents": other}}, {"inputs": {"signals": documents}}, {"facts": {"ordinal": 2}},
    ]  # fmt: skip
    digests = {Action(**{**base, **change}).digest for change in [{}, *changes]}
    assert len(digests) == 1 + len(changes)
    moved = Artifact(documents.manifest.model_copy(update={"action": "other"}), "0" * 64, documents.objects)
    assert Action(**{**base, "inputs": {"documents": moved}}).digest in digests  # equal rows, another way to them


# three heights of memo -----------------------------------------------------------------------------------------------


def test_a_done_artifact_is_emitted_again_without_its_function(mill: toys.Mill) -> None:
    documents = mill.documents(TEXTS)
    action = Action("x", "a.b", (toys.KEEP,), {}, {"documents": documents})
    made: list[int] = []

    def make() -> tuple[list[Part], list[Any], dict[str, Any]]:
        made.append(1)
        part = written(mill.store, {"rows": pa.table({"x": [1]})}, counts={"rows_in": 1, "kept": 1})
        return [part], [toys.conservation({"rows_in": 1, "kept": 1})], {"note": "kept"}

    first = mill.runner.produce(action, make)
    assert mill.runner.computed[action.digest] is True
    other = toys.Mill(open_store(Path(mill.store.url).parent))
    again = other.runner.produce(action, make)
    assert (again.digest, again.manifest) == (first.digest, first.manifest)
    assert again.manifest.checks[0].passed
    assert other.runner.computed[action.digest] is False
    assert made == [1]
    forget_references(mill.store, "x")  # say, another project of the same store
    assert other.runner.produce(action, make).digest == first.digest
    assert mill.store.get("x", "a.b").digest == first.digest
    assert made == [1]


def test_without_the_artifact_only_missing_parts_are_computed(mill: toys.Mill) -> None:
    documents, lengths, short = mill.all(TEXTS)
    assert (mill.calls("lengths"), mill.calls("keep")) == ([2, 3, 4], [2, 3, 4])
    forget_references(mill.store, "short")
    forget_action(mill.store, short)
    assert mill.short(documents, lengths).digest == short.digest
    assert mill.calls("keep") == []
    forget_action(mill.store, short)
    short.path(short.parts[1], "documents").unlink()
    assert mill.short(documents, lengths).digest == short.digest
    assert mill.calls("keep") == [2]
    assert verify(mill.store).errors == []


def test_a_new_part_costs_that_part(mill: toys.Mill) -> None:
    mill.all(TEXTS)
    mill.calls("lengths"), mill.calls("keep")
    mill.all([*TEXTS, ["new", "part"]])
    assert (mill.calls("lengths"), mill.calls("keep")) == ([2], [2])


def test_moved_parts_are_known_by_their_rows(mill: toys.Mill) -> None:
    """A part memo asks for the rows, not for the part's name or the asset's history."""
    documents = mill.documents(TEXTS)
    mill.lengths(documents)
    mill.calls("lengths")
    tables = [table for _, table in documents.tables("documents")]
    parts = [written(mill.store, {"documents": table}, name=f"x{number}") for number, table in enumerate(tables[::-1])]
    action = Action("documents", "c.d", (toys.DOCUMENTS,), {})
    renamed = mill.runner.produce(action, lambda: (parts, [], {}))
    again = mill.lengths(renamed)
    assert mill.calls("lengths") == []
    assert [part.name for part in again.parts] == ["x0", "x1", "x2"]


def test_another_threshold_or_version_computes_again(mill: toys.Mill) -> None:
    documents, lengths, _ = mill.all(TEXTS)
    mill.calls("lengths"), mill.calls("keep")
    mill.short(documents, lengths, limit=2)
    assert (mill.calls("lengths"), mill.calls("keep")) == ([], [2, 3, 4])
    mill.lengths(documents, limit=6)
    assert mill.calls("lengths") == [2, 3, 4]


# row reuse -----------------------------------------------------------------------------------------------------------


def test_when_rows_change_the_function_sees_new_rows_only(mill: toys.Mill) -> None:
    mill.lengths(mill.documents(TEXTS))
    mill.calls("lengths")
    edited = [["a", "EDITED", "ccc", "iouaeiou"], TEXTS[1], ["f", "ggggggg"]]
    lengths = mill.lengths(mill.documents(edited))
    assert mill.calls("lengths") == [0, 1]  # a deleted row asks for nothing
    assert lengths.manifest.counts == {"kept": 8, "long": 3, "rows_in": 8}


words = st.text("aeb", max_size=8)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.lists(words, max_size=8),
    data=st.data(),
    key=st.integers(0, 2**60),
)
def test_reused_rows_equal_a_full_computation(
    mill: toys.Mill, before: list[str], data: st.DataObject, key: int
) -> None:
    """Any edits, insertions, deletions: the same manifest bytes, and no known row is computed again."""
    after = [data.draw(st.just(text) | words) for text in before] + data.draw(st.lists(words, max_size=3))
    after = after[data.draw(st.integers(0, 2)) :] if data.draw(st.booleans()) else after
    name = f"a.{key}"
    mill.lengths(mill.documents([before], name))
    mill.calls("lengths")
    reused = mill.lengths(mill.documents([after], name))
    seen = mill.calls("lengths")
    old = toys.documents_of(before, name).select(["id", "text_hash"]).to_pylist()
    new = [row for row in toys.documents_of(after, name).select(["id", "text_hash"]).to_pylist() if row not in old]
    assert seen in ([], [len(new)])
    with_path = Path(mill.store.url).parent / f"full{key}"
    full_mill = toys.Mill(open_store(with_path), marks=mill.marks)
    full = full_mill.lengths(full_mill.documents([after], name))
    full_mill.calls("lengths")
    assert full.manifest.encode() == reused.manifest.encode()
    assert full.digest == reused.digest


def test_without_a_tally_counts_stay_true_and_every_row_is_computed(mill: toys.Mill) -> None:
    edited = [["a", "longer text", "ccc", "iouaeiou"], *TEXTS[1:]]
    mill.lengths(mill.documents(TEXTS), with_tally=False)
    lengths = mill.lengths(mill.documents(edited), with_tally=False)
    assert mill.calls("lengths") == [1, 2, 3, 4, 4]
    other = toys.Mill(open_store(Path(mill.store.url).parent / "other"))
    assert lengths.digest == other.lengths(other.documents(edited)).digest


def wrong_tally(table: pa.Table, config: dict[str, Any]) -> dict[str, int]:
    return {"long": -1}


def test_a_tally_that_disagrees_with_its_function_is_an_error(mill: toys.Mill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Family, "__init__", with_wrong_tally(Family.__init__))
    mill.lengths(mill.documents(TEXTS))
    with pytest.raises(ValueError, match=r"lengths_part counts \{'long': 0\}, its tally \{'long': -1\}"):
        mill.lengths(mill.documents([["EDIT", *TEXTS[0][1:]], *TEXTS[1:]]))


def with_wrong_tally(init: Callable[..., None]) -> Callable[..., None]:
    def changed(self: Family, **fields: Any) -> None:
        init(self, **{**fields, "tally": wrong_tally})

    return changed


def test_rows_are_not_reused_when_another_input_or_the_rules_changed(mill: toys.Mill) -> None:
    edited = [["EDIT", *TEXTS[0][1:]], *TEXTS[1:]]
    mill.lengths(mill.documents(TEXTS), limit=5)
    mill.calls("lengths")
    mill.lengths(mill.documents(edited), limit=6)
    assert mill.calls("lengths") == [2, 3, 4]


# worker counts and order ---------------------------------------------------------------------------------------------


class Shuffled(ComputeEngine):
    """Runs the tasks in an order of its own, as slow and fast workers would."""

    def __init__(self, seed: int) -> None:
        super().__init__(1)
        self.random = random.Random(seed)

    def map(
        self, function: Callable[[Any], Any], tasks: Iterable[Any], done: Callable[[int, Any], Any] | None = None
    ) -> list[Any]:
        items = list(tasks)
        order = list(range(len(items)))
        self.random.shuffle(order)
        results: dict[int, Any] = {}
        for index in order:
            results[index] = function(items[index])
            if done:
                done(index, results[index])
        return [results[index] for index in range(len(items))]


def test_worker_counts_and_part_order_change_no_byte(tmp_path: Path) -> None:
    texts = [[f"{'abcdefghij'[: (part * 7 + row) % 9]}{part}" for row in range(part + 1)] for part in range(7)]
    pool = ComputeEngine(2)
    engines = {"one": ComputeEngine(1), "two": pool, **{f"shuffled{seed}": Shuffled(seed) for seed in range(3)}}
    stores = {}
    try:
        for name, engine in engines.items():
            toys.Mill(open_store(tmp_path / name), compute=engine).all(texts)
            stores[name] = files_of(tmp_path / name / "store")
    finally:
        pool.close()
    for name, files in stores.items():
        assert files == stores["one"], name


def test_chunks_of_a_result_change_no_byte(mill: toys.Mill) -> None:
    """A page ends at the first batch of rows beyond 1 MiB, and batches end with chunks: so the text has to be 5 MB."""
    table = toys.documents_of([f"text {number}" * 250 for number in range(2200)])
    pieces = pa.concat_tables([table.slice(0, 7), table.slice(7, 0), table.slice(7, 1500), table.slice(1507)])
    assert store_table(mill.store, pieces) == store_table(mill.store, table)


def test_progress_is_told_for_every_part(mill: toys.Mill) -> None:
    told: list[tuple[str, int, int, int]] = []
    mill.runner.tell = lambda *values: told.append(values)
    mill.lengths(mill.documents(TEXTS))
    assert told == [("lengths", 1, 3, 4), ("lengths", 2, 3, 6), ("lengths", 3, 3, 9)]


# errors --------------------------------------------------------------------------------------------------------------


def test_an_error_in_a_part_publishes_nothing_and_keeps_the_other_parts(mill: toys.Mill) -> None:
    texts = [TEXTS[0], ["poison"], TEXTS[1]]
    documents = mill.documents(texts)
    lengths = mill.lengths(documents)
    with pytest.raises(ValueError, match="a poisoned document"):
        mill.short(documents, lengths)
    assert mill.store.latest("short", "a.b") is None
    mill.calls("keep")
    with pytest.raises(ValueError, match="a poisoned document"):
        mill.short(documents, lengths)
    assert mill.calls("keep") == [1]


def losing_part(tables: Any, config: Any) -> PartResult:
    documents = tables["documents"]
    return PartResult({"documents": documents.slice(1)}, {"rows_in": len(documents), "kept": len(documents) - 1})


def test_lost_rows_block_publication(mill: toys.Mill) -> None:
    documents = mill.documents(TEXTS)
    action = Action("short", "a.b", (toys.KEEP,), {}, {"documents": documents})
    family = Family(losing_part, None, (toys.KEEP,), {}, (("documents", "documents", "documents"),))

    def make() -> tuple[list[Part], list[Any], dict[str, Any]]:
        parts = mill.runner.run_parts(action, "documents", [family])
        return parts, [toys.conservation(toys.total_counts(tuple(parts)))], {}

    with pytest.raises(CheckFailedError, match=r"conserved.*'rows_in': 9, 'kept': 6"):
        mill.runner.produce(action, make)
    assert mill.store.latest("short", "a.b") is None
    assert mill.store.done(action.digest) is None


def test_a_part_that_reads_back_differently_is_refused(mill: toys.Mill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.stages.read_table", lambda path: pa.table({"x": [2]}))
    with pytest.raises(StoreError, match="reads back differently: check that disk"):
        store_table(mill.store, pa.table({"x": [1]}))
    assert list((Path(mill.store.url) / "tmp").iterdir()) == []
    assert files_of(Path(mill.store.url)) == {}


def test_inputs_whose_parts_disagree_are_named(mill: toys.Mill) -> None:
    documents, fewer = mill.documents(TEXTS), mill.documents(TEXTS[:2], "c.d")
    with pytest.raises(StoreError, match=r"lengths c\.d has no part 00002; its inputs disagree"):
        mill.short(documents, mill.lengths(fewer))


# two processes -------------------------------------------------------------------------------------------------------


def test_of_two_processes_that_want_one_key_one_computes(tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    processes = [start("all", str(tmp_path), "1", str(tmp_path / "marks")) for _ in range(2)]
    contents = [json.loads(finish(process)) for process in processes]
    assert contents[0] == contents[1]
    mill = toys.Mill(open_store(tmp_path), marks=tmp_path / "marks")
    assert (mill.calls("lengths"), mill.calls("keep")) == ([2, 3, 4], [2, 3, 4])
    assert {path: 1 for path, _ in mill.store.referenced()} == {
        f"refs/toy/{asset}/a.b/1.json": 1 for asset in ("documents", "lengths", "short")
    }


def test_a_key_that_stays_busy_names_its_holder(mill: toys.Mill) -> None:
    runner = StageRunner(mill.store, ComputeEngine(1), lock_wait_seconds=0.0)
    action = Action("documents", "a.b", (), {})
    with mill.store.lock("toy/documents/a.b"), pytest.raises(BusyError, match=r"a\.b\.lock is held by process"):
        runner.produce(action, lambda: ([], [], {}))


def test_after_a_kill_only_the_rest_is_computed(tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    finish_killed(start("all", str(tmp_path), "1", str(tmp_path / "marks"), failpoint="part_write:7"))
    mill = toys.Mill(open_store(tmp_path), marks=tmp_path / "marks")
    before = mill.calls("lengths")
    mill.all(TEXTS)
    assert before == [2, 3, 4]  # writes 1-3 documents, 4 manifest, 5-7 lengths: the third one was not kept
    assert (mill.calls("lengths"), mill.calls("keep")) == ([3], [2, 3, 4])


# files ---------------------------------------------------------------------------------------------------------------


def test_arrays_and_bytes_are_stored_as_they_are(mill: toys.Mill, tmp_path: Path) -> None:
    array = np.arange(1000, dtype=">u2")
    file = store_array(mill.store, array)
    path = mill.store.path_of(file.object)
    assert np.array_equal(np.memmap(path, "<u2", "r"), array)
    assert (file.bytes, file.rows, file.rows_digest) == (2000, None, digest_file(path))
    empty = store_array(mill.store, np.zeros(0, np.uint32))
    assert (empty.bytes, empty.object) == (0, digest_bytes(b""))
    note = store_bytes(mill.store, b"bytes")
    assert (note.object, note.rows_digest, note.bytes) == (digest_bytes(b"bytes"), digest_bytes(b"bytes"), 5)


def test_tables_are_stored_with_their_rows_digest(mill: toys.Mill) -> None:
    table = toys.documents_of(["b", "a"]).replace_schema_metadata({"x": "y"})
    file = store_table(mill.store, table)
    assert (file.rows, file.rows_digest) == (2, rows_digest(table))


def test_parts_of_an_unfinished_stage_feed_its_next_step(mill: toys.Mill) -> None:
    """A provisional handle reads like an artifact and is nowhere in the store."""
    documents = mill.documents(TEXTS)
    action = Action("two_steps", "a.b", (toys.KEEP,), {}, {"documents": documents})
    part = written(mill.store, {"documents": documents.whole("documents")})
    provisional = mill.runner.provisional(action, [part])
    assert provisional.whole("documents").equals(documents.whole("documents"))
    assert mill.store.latest("two_steps", "a.b") is None
