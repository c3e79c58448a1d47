"""Keeping the store: every kind of damage is found, what is needed stays, what is not goes, and only when told to."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.core.artifacts import Artifact
from pipelines.core.manifest import Part, StoredFile, content_of
from resources.backends import StoreError
from resources.housekeeping import Collection, collect, verify
from resources.stages import store_bytes
from resources.store import ArtifactStore
from tests.resources import toys
from tests.resources.toys import TEXTS, files_of, note, open_store

FUTURE = 2.0**40


@pytest.fixture
def mill(tmp_path: Path) -> toys.Mill:
    (tmp_path / "marks").mkdir()
    return toys.Mill(open_store(tmp_path), marks=tmp_path / "marks")


@pytest.fixture
def store(mill: toys.Mill) -> ArtifactStore:
    return mill.store


def root(store: ArtifactStore) -> Path:
    return Path(store.url)


def sweep(store: ArtifactStore, *, history: int | None = None, delete: bool = True, grace: float = 0) -> Collection:
    return collect(store, history=history, grace_seconds=grace, now=FUTURE, delete=delete)


def overwrite(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


# verify --------------------------------------------------------------------------------------------------------------


def test_a_whole_store_verifies_and_is_counted(mill: toys.Mill) -> None:
    made = mill.all(TEXTS)
    told: list[str] = []
    report = verify(mill.store, told.append)
    assert report.errors == []
    files = {file for item in made for part in item.parts for file in part.files.values()}
    assert (report.artifacts, report.files) == (3, len(files))
    assert report.bytes == sum(file.bytes for file in files)
    assert report.rows == sum(file.rows or 0 for file in files)
    assert told == ["documents a.b: 3 parts", "lengths a.b: 3 parts", "short a.b: 3 parts"]


def flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: overwrite(path, flip(path.read_bytes())), "does not have the bytes of its name"),
        (lambda path: overwrite(path, path.read_bytes()[:-1]), r"bytes, not \d+"),
        (lambda path: overwrite(path, b""), "has 0 bytes"),
        (lambda path: path.unlink(), "is missing"),
    ],
)
def test_a_damaged_part_is_found_and_mended_as_told(
    mill: toys.Mill, damage: Callable[[Path], None], message: str
) -> None:
    """The error names artifact, part, role and object; the remedy that it gives works."""
    _, lengths, _ = mill.all(TEXTS)
    before = files_of(root(mill.store))
    stored = lengths.parts[1].files["lengths"]
    path = mill.store.path_of(stored.object)
    damage(path)
    (error,) = verify(mill.store).errors
    assert f"lengths a.b: part 00001, lengths: object {stored.object}" in error
    assert re.search(message, error)
    assert "delete that file if it is there and run the asset again" in error
    path.unlink(missing_ok=True)
    mill.all(TEXTS)
    assert verify(mill.store).errors == []
    assert files_of(root(mill.store)) == before


def forged(store: ArtifactStore, part: Part) -> Artifact:
    """An artifact whose manifest says what its files are not."""
    manifest = note(store, "forged").model_copy(update={"parts": (part,), "content": content_of("pure", "", (part,))})
    return store.publish(manifest)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"rows": 3}, "has 1 rows, not 3"), ({"rows_digest": "0" * 64}, "has other rows than recorded")],
)
def test_a_manifest_that_lies_about_rows_is_found(
    store: ArtifactStore, change: dict[str, object], message: str
) -> None:
    part = note(store, "x").parts[0]
    file = part.files["rows"].model_copy(update=change)
    forged(store, part.model_copy(update={"files": {"rows": file}}))
    (error,) = verify(store).errors
    assert message in error


def test_a_file_that_is_no_table_is_found(store: ArtifactStore) -> None:
    file = StoredFile(object=store.add_bytes(b"no table"), bytes=8, rows=1, rows_digest="0" * 64)
    forged(store, Part(name="00000", files={"rows": file}))
    (error,) = verify(store).errors
    assert "cannot be read" in error


def test_a_content_digest_that_is_not_of_the_parts_is_found(store: ArtifactStore) -> None:
    store.publish(note(store, "a").model_copy(update={"content": "0" * 64}))
    assert verify(store).errors == ["a: the content digest is not that of the parts"]


@pytest.mark.parametrize("gone", [True, False])
def test_a_bad_manifest_is_reported_and_the_rest_is_still_read(store: ArtifactStore, gone: bool) -> None:
    bad, good = store.publish(note(store, "a", text="1")), store.publish(note(store, "b", text="2"))
    path = store.path_of(bad.digest)
    if gone:
        path.unlink()
    else:
        overwrite(path, flip(path.read_bytes()))
    overwrite(good.path(good.parts[0], "rows"), b"")
    report = verify(store)
    assert len(report.errors) == 2
    assert report.errors[0].startswith("refs/toy/a/_/1.json: manifest")
    assert report.errors[1].startswith("b: part 00000, rows")


def test_inputs_are_read_even_when_no_reference_names_them(store: ArtifactStore) -> None:
    first = store.publish(note(store, "a", text="old"))
    store.publish(note(store, "b", text="from old", inputs={"a": first}))
    store.publish(note(store, "a", text="new"))
    sweep(store, history=1)
    assert verify(store).errors == []
    assert verify(store).artifacts == 3
    first.path(first.parts[0], "rows").unlink()
    assert len(verify(store).errors) == 1
    store.path_of(first.digest).unlink()
    (error,) = verify(store).errors
    assert error.startswith("b: its input a: manifest")


# collect -------------------------------------------------------------------------------------------------------------


def reachable(store: ArtifactStore) -> set[str]:
    """Objects of every referenced artifact, by its manifests alone."""
    needed: set[str] = set()
    waiting = [reference.manifest for _, reference in store.referenced()]
    while waiting:
        digest = waiting.pop()
        artifact = store.open(digest)
        needed |= {digest, *(file.object for part in artifact.parts for file in part.files.values())}
        waiting += [item.manifest for item in artifact.manifest.inputs.values() if item.manifest not in needed]
    return needed


def objects(store: ArtifactStore) -> set[str]:
    return {path.rpartition("/")[2] for path, _, _ in store.backend.walk("objects")}


def test_nothing_goes_from_a_store_without_waste(mill: toys.Mill) -> None:
    mill.all(TEXTS)
    before = files_of(root(mill.store))
    found = sweep(mill.store)
    assert found.sweep == []
    assert found.kept_objects == len(objects(mill.store))
    assert found.kept_bytes == sum(len(data) for path, data in before.items() if path.startswith("objects/"))
    assert files_of(root(mill.store)) == before


def test_a_dry_run_says_what_a_deletion_does_and_touches_nothing(mill: toys.Mill) -> None:
    mill.all(TEXTS)
    mill.all([["new"], *TEXTS[1:]])
    mill.store.add_bytes(b"an orphan")
    mill.store.scratch().write_bytes(b"unfinished")
    before = {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in root(mill.store).rglob("*") if path.is_file()
    }
    planned = sweep(mill.store, history=1, delete=False)
    after = {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in root(mill.store).rglob("*") if path.is_file()
    }
    assert after == before
    done = sweep(mill.store, history=1)
    assert done.sweep == planned.sweep != []
    left = {path.relative_to(root(mill.store)).as_posix() for path in root(mill.store).rglob("*") if path.is_file()}
    assert left == {path.relative_to(root(mill.store)).as_posix() for path in before} - {path for path, _ in done.sweep}
    assert {path.split("/")[0] for path, _ in done.sweep} == {"refs", "objects", "memo", "tmp"}


def test_history_keeps_the_newest_and_what_it_was_made_from(mill: toys.Mill) -> None:
    for number in range(3):
        mill.all([[f"version{number}"], *TEXTS[1:]])
    assert sweep(mill.store).sweep == []
    sweep(mill.store, history=2)
    assert sorted(path for path, _ in mill.store.referenced()) == [
        f"refs/toy/{asset}/a.b/{number}.json" for asset in ("documents", "lengths", "short") for number in (2, 3)
    ]
    assert objects(mill.store) == reachable(mill.store)
    assert verify(mill.store).errors == []


def test_after_a_collection_everything_kept_is_found_done(mill: toys.Mill) -> None:
    mill.all(TEXTS)
    mill.all([["new"], *TEXTS[1:]])
    mill.calls("lengths"), mill.calls("keep")
    newest = [["new"], *TEXTS[1:]]
    sweep(mill.store, history=1)
    before = files_of(root(mill.store))
    made = mill.all(newest)
    assert (mill.calls("lengths"), mill.calls("keep")) == ([], [])
    assert files_of(root(mill.store)) == before
    for path in list(mill.store.backend.walk("memo/actions")):
        mill.store.backend.delete(path[0])
    assert [item.digest for item in mill.all(newest)] == [item.digest for item in made]
    assert (mill.calls("lengths"), mill.calls("keep")) == ([], [])  # part memos were kept too
    assert files_of(root(mill.store)) == before


def test_what_was_collected_is_made_again_with_the_same_bytes(mill: toys.Mill) -> None:
    old = mill.all(TEXTS)
    mill.all([["new"], *TEXTS[1:]])
    sweep(mill.store, history=1)
    assert mill.store.done(old[2].manifest.action) is None
    assert [item.digest for item in mill.all(TEXTS)] == [item.digest for item in old]
    assert verify(mill.store).errors == []


def test_the_grace_period_spares_what_is_young(mill: toys.Mill) -> None:
    mill.all(TEXTS)
    orphan = mill.store.path_of(mill.store.add_bytes(b"an orphan"))
    unfinished = mill.store.scratch()
    unfinished.write_bytes(b"x")
    for path in (orphan, unfinished):
        os.utime(path, (1000, 1000))
    young = collect(mill.store, history=None, grace_seconds=60, now=1059, delete=True)
    assert (young.sweep, young.young) == ([], 1)
    old = collect(mill.store, history=None, grace_seconds=60, now=1060, delete=True)
    assert {path.rpartition("/")[2] for path, _ in old.sweep} == {orphan.name, unfinished.name}
    assert old.bytes == len(b"an orphan") + 1
    assert not orphan.exists()


def test_work_of_published_trainings_goes_and_open_work_stays(mill: toys.Mill) -> None:
    documents, *_ = mill.all(TEXTS)
    finished = mill.store.work_folder(f"training/{documents.manifest.action}")
    running = mill.store.work_folder("training/" + "e" * 64)
    for folder in (finished, running):
        (folder / "deep").mkdir()
        (folder / "deep" / "state").write_bytes(b"x")
    sweep(mill.store)
    assert not finished.exists()
    assert (running / "deep" / "state").exists()


def test_a_checkpoint_keeps_what_its_plan_pins(store: ArtifactStore) -> None:
    """As trainings do it: checkpoint -> plan (an input) -> a JSON file that pins parent and snapshot by manifest."""
    grandparent = store.publish(note(store, "documents", text="archive"))
    parent = store.publish(note(store, "base_checkpoint", text="weights", inputs={"documents": grandparent}))
    snapshot = store.publish(note(store, "snapshot", text="1"))
    pins = {"parent": {"manifest": parent.digest}, "parts": [{"manifest": snapshot.digest}]}
    plan = note(store, "plan", text="waste")
    plan_part = plan.parts[0].model_copy(update={"files": {"plan": store_bytes(store, json.dumps(pins).encode())}})
    plan = store.publish(
        plan.model_copy(update={"parts": (plan_part,), "content": content_of("pure", plan.action, (plan_part,))})
    )
    store.publish(note(store, "round_checkpoint", text="round", inputs={"plan": plan}))
    for asset in ("documents", "base_checkpoint", "snapshot"):
        store.publish(note(store, asset, text="another, later"))
    waste = note(store, "plan", text="waste").parts[0].files["rows"].object
    found = sweep(store, history=1)
    for artifact in (grandparent, parent, snapshot):
        assert store.open(artifact.digest).whole("rows").num_rows == 1
    assert {path for path, _ in found.sweep if path.startswith("objects/")} == {f"objects/{waste[:2]}/{waste}"}
    assert verify(store).errors == []


def test_a_recorded_fact_keeps_an_artifact_and_all_below_it(store: ArtifactStore) -> None:
    below = store.publish(note(store, "below", text="1"))
    named = store.publish(note(store, "named", text="1", inputs={"below": below}))
    store.publish(note(store, "holder", model={"pinned": [named.digest]}))
    for asset in ("below", "named"):
        store.publish(note(store, asset, text="2"))
    sweep(store, history=1)
    assert below.whole("rows").num_rows == named.whole("rows").num_rows == 1


def test_a_ledger_entry_keeps_the_plan_that_it_bound_and_what_that_pins(store: ArtifactStore) -> None:
    parent = store.publish(note(store, "base_checkpoint", text="1"))
    store.publish(note(store, "base_checkpoint", text="2"))
    plan = store.add_bytes(json.dumps({"parent": parent.digest, "absent": "0" * 64}).encode())
    store.append("rounds/nano", {"round": "r0001", "plan": plan}, unique="round")
    waste = store.add_bytes(b"waste")
    sweep(store, history=1)
    assert store.has(plan)
    assert not store.has(waste)
    assert parent.whole("rows").num_rows == 1


def test_another_projects_artifacts_stay(tmp_path: Path) -> None:
    one, two = open_store(tmp_path, "one"), open_store(tmp_path, "two")
    artifact = one.publish(note(one, "a", text="one"))
    two.publish(note(two, "a", text="two"))
    assert sweep(two, history=1).sweep == []
    assert one.get("a").digest == artifact.digest


@pytest.mark.parametrize("gone", [True, False])
def test_nothing_is_collected_when_a_kept_manifest_is_damaged(mill: toys.Mill, gone: bool) -> None:
    """Without it nobody can say what it needs: sweeping would lose it for good."""
    _, lengths, short = mill.all(TEXTS)
    mill.store.add_bytes(b"waste")
    for artifact in (short, lengths):
        path = mill.store.path_of(artifact.digest)
        before = path.read_bytes()
        path.unlink() if gone else overwrite(path, flip(before))
        files = files_of(root(mill.store))
        with pytest.raises(StoreError, match=r"nothing was collected: refs/toy/\w+/a\.b/1\.json is kept, but manifest"):
            sweep(mill.store)
        assert files_of(root(mill.store)) == files
        overwrite(path, before) if not gone else path.write_bytes(before)
    assert len(sweep(mill.store).sweep) == 1


def test_a_damaged_pinned_plan_stops_the_collection(store: ArtifactStore) -> None:
    plan = store.add_bytes(b'{"parent": "x"}')
    store.append("rounds/nano", {"round": "r0001", "plan": plan}, unique="round")
    overwrite(store.path_of(plan), b'{"parent": "y"}')
    with pytest.raises(StoreError, match=rf"nothing was collected: objects/../{plan} is needed and does not have"):
        sweep(store)


def test_memos_of_swept_files_and_damaged_memos_go(mill: toys.Mill) -> None:
    mill.all(TEXTS)
    first, *_ = (path for path, _, _ in mill.store.backend.walk("memo/parts"))
    mill.store.backend.local_path(first).write_bytes(b"{")
    assert [path for path, _ in sweep(mill.store).sweep] == [first]


STEPS = st.lists(
    st.tuples(st.sampled_from(["publish", "derive", "again", "orphan"]), st.integers(0, 3), st.integers(0, 2)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.none() | st.integers(1, 2))
def test_exactly_what_references_lead_to_is_kept(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]], history: int | None
) -> None:
    """Any history of publications and derivations: the objects left are those that the brute-force walk needs."""
    store = open_store(tmp_path_factory.mktemp("store"))
    made: list[Artifact] = []
    for kind, name, version in steps:
        if kind == "publish" or (kind in ("derive", "again") and not made):
            made.append(store.publish(note(store, f"a{name}", text=str(version))))
        elif kind == "derive":
            made.append(
                store.publish(
                    note(store, f"b{name}", text=f"{version}{len(made)}", inputs={"x": made[name % len(made)]})
                )
            )
        elif kind == "again":
            store.refer(made[name % len(made)])
        else:
            store.add_bytes(f"orphan {name} {version}".encode())
    newest = {path.rpartition("/")[0]: reference for path, reference in sorted(store.referenced(), key=by_number)}
    sweep(store, history=history)
    assert objects(store) == reachable(store)
    assert verify(store).errors == []
    kept = {path.rpartition("/")[0]: reference for path, reference in sorted(store.referenced(), key=by_number)}
    assert kept == newest


def by_number(item: tuple[str, object]) -> int:
    return int(item[0].rpartition("/")[2].removesuffix(".json"))


def test_a_table_is_never_read_for_digests(store: ArtifactStore) -> None:
    """A document may hold 64 hex digits: text marks nothing, or crawled pages could pin what should go."""
    waste = store.add_bytes(b"waste")
    path = store.scratch()
    pq.write_table(pa.table({"text": [waste]}), path, compression="none")
    manifest = note(store, "a", text=waste)
    store.publish(manifest)
    assert waste.encode() in path.read_bytes()
    sweep(store)
    assert not store.has(waste)
