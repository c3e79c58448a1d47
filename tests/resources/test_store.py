"""The store: publication order, exclusive references, memos, hostile names, kills and races between processes."""

import json
import os
import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core.documents import BadKeyError, split_key
from pipelines.core.manifest import CheckRecord, Manifest
from resources import failpoints
from resources.backends import LocalBackend, StoreError
from resources.housekeeping import collect, verify
from resources.store import ArtifactStore, CheckFailedError, PartMemo
from tests.resources import toys
from tests.resources.processes import ROOT, finish, finish_killed, start, wait_until
from tests.resources.toys import files_of, note, open_store


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return open_store(tmp_path)


def names(store: ArtifactStore, folder: str) -> list[str]:
    return [path for path, _, _ in store.backend.walk(folder)]


# publication ---------------------------------------------------------------------------------------------------------


def test_publication_goes_objects_manifest_memo_reference(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    put, create = LocalBackend.put, LocalBackend.create

    def noted_put(backend: LocalBackend, source: Path, path: str) -> None:
        put(backend, source, path)
        order.append("manifest" if source_is_manifest(backend.root / path) else "part")

    def noted_create(backend: LocalBackend, path: str, data: bytes) -> bool:
        order.append(path.split("/")[0])
        return create(backend, path, data)

    monkeypatch.setattr(LocalBackend, "put", noted_put)
    monkeypatch.setattr(LocalBackend, "create", noted_create)
    store.publish(note(store, "a"))
    assert order == ["part", "manifest", "memo", "refs"]


def source_is_manifest(path: Path) -> bool:
    return path.read_bytes().startswith(b'{"action"')


def test_what_was_published_is_found_by_action_key_and_digest(store: ArtifactStore) -> None:
    artifact = store.publish(note(store, "a", "b.c"))
    for found in (
        store.done(artifact.manifest.action),
        store.latest("a", "b.c"),
        store.get("a", "b.c"),
        store.open(artifact.digest),
    ):
        assert found is not None
        assert found.manifest == artifact.manifest
        assert found.whole("rows").to_pylist() == [{"text": "x"}]
    assert store.latest("a") is None
    assert store.done("0" * 64) is None


def test_a_missing_input_says_how_to_make_it(store: ArtifactStore) -> None:
    with pytest.raises(StoreError, match=r"a b\.c is not in the store yet.*gristmill run --select a --partition b\.c"):
        store.get("a", "b.c")


def test_a_failed_blocking_check_publishes_nothing(store: ArtifactStore) -> None:
    manifest = note(store, "a")
    before = files_of(Path(store.url) if "://" not in store.url else Path(store.url[7:]))
    verdicts = (
        CheckRecord(name="good", passed=True),
        CheckRecord(name="warned", passed=False, blocking=False),
        CheckRecord(name="conserved", passed=False, description="rows are lost", values={"rows_in": 3, "kept": 2}),
    )
    with pytest.raises(CheckFailedError, match=r"conserved: rows are lost \{'rows_in': 3, 'kept': 2\}") as caught:
        store.publish(manifest.model_copy(update={"checks": verdicts}))
    assert caught.value.checks == verdicts
    assert files_of(Path(store.url)) == before
    store.publish(manifest.model_copy(update={"checks": verdicts[:2]}))
    assert store.get("a").manifest.checks == verdicts[:2]


def test_a_part_that_vanished_meanwhile_is_not_published(store: ArtifactStore) -> None:
    manifest = note(store, "a")
    store.path_of(manifest.parts[0].files["rows"].object).unlink()
    with pytest.raises(StoreError, match=r"part 00000, rows is no longer in the store.*run it again"):
        store.publish(manifest)
    assert names(store, "refs") == names(store, "memo") == []


def test_numbers_grow_by_one_and_only_when_something_changed(store: ArtifactStore) -> None:
    one, two = store.publish(note(store, "a", text="1")), store.publish(note(store, "a", text="2"))
    assert store.refer(two) is False
    assert store.refer(one) is True  # back to an earlier state: a new line of history, not a rewrite
    assert names(store, "refs") == [f"refs/toy/a/_/{number}.json" for number in (1, 2, 3)]
    assert [item.manifest for item in store.references("a", None)] == [one.digest, two.digest, one.digest]
    for number in range(7):
        store.publish(note(store, "a", text=f"more{number}"))
    assert store.get("a").whole("rows").to_pylist() == [{"text": "more6"}]  # 10 comes after 9


def test_references_belong_to_a_project_and_objects_to_all(tmp_path: Path) -> None:
    one, two = open_store(tmp_path, "one"), open_store(tmp_path, "two")
    artifact = one.publish(note(one, "a"))
    assert two.latest("a") is None
    found = two.done(artifact.manifest.action)
    assert found is not None
    two.refer(found)
    assert two.get("a").digest == artifact.digest
    assert sorted(path for path, _ in two.referenced()) == ["refs/one/a/_/1.json", "refs/two/a/_/1.json"]


def test_a_store_goes_to_workers_and_back(store: ArtifactStore) -> None:
    artifact = store.publish(note(store, "a"))
    again: ArtifactStore = pickle.loads(pickle.dumps(store))
    assert again.get("a").digest == artifact.digest
    assert again.scratch() != store.scratch()


# objects -------------------------------------------------------------------------------------------------------------


def test_equal_bytes_are_one_read_only_object(store: ArtifactStore) -> None:
    digest = store.add_bytes(b"data")
    path = store.path_of(digest)
    inode = path.stat().st_ino
    assert store.add_bytes(b"data") == digest
    other = store.scratch()
    other.write_bytes(b"data")
    assert store.add_file(other) == digest
    assert not other.exists()
    assert path.stat().st_ino == inode
    assert path.stat().st_mode & 0o222 == 0
    assert len(names(store, "objects")) == 1
    assert names(store, "tmp") == []


def test_an_object_that_is_used_again_is_young_again(store: ArtifactStore) -> None:
    """Otherwise a collection beside a running stage sweeps what the stage is about to publish."""
    manifest = note(store, "a")
    stored = manifest.parts[0].files["rows"].object
    store.remember_part("1" * 64, PartMemo(files=manifest.parts[0].files, counts={}))
    again: list[Callable[[], Any]] = [lambda: note(store, "a"), lambda: store.part_memo("1" * 64)]
    for use in again:
        os.utime(store.path_of(stored), (0, 0))
        use()
        assert store.path_of(stored).stat().st_mtime > 0


@pytest.mark.parametrize("digest", ["", "../../x", "a" * 63, "A" * 64, "a" * 64 + "\n", "é" * 64, "a" * 10**5])
def test_only_digests_name_objects(store: ArtifactStore, digest: str) -> None:
    for use in (store.has, store.path_of, store.open):
        with pytest.raises(StoreError, match="is not the name of an object"):
            use(digest)


# memos ---------------------------------------------------------------------------------------------------------------


def test_a_memo_whose_files_went_is_none_and_is_replaced(store: ArtifactStore) -> None:
    action = "1" * 64
    first = PartMemo(files=note(store, "a", text="1").parts[0].files, counts={"rows_in": 1})
    store.remember_part(action, first)
    assert store.part_memo(action) == first
    store.path_of(first.files["rows"].object).unlink()
    assert store.part_memo(action) is None
    second = PartMemo(files=note(store, "a", text="2").parts[0].files, counts={"rows_in": 2})
    store.remember_part(action, second)
    assert store.part_memo(action) == second


def test_an_action_whose_files_went_is_done_again(store: ArtifactStore) -> None:
    manifest = note(store, "a")
    artifact = store.publish(manifest)
    stored = manifest.parts[0].files["rows"].object
    store.path_of(stored).unlink()
    assert store.done(manifest.action) is None
    assert store.publish(note(store, "a")).digest == artifact.digest
    store.path_of(artifact.digest).unlink()
    assert store.done(manifest.action) is None
    store.publish(note(store, "a"))
    assert store.done(manifest.action) is not None
    assert len(store.references("a", None)) == 1


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff", b"null", b"[]"])
def test_a_damaged_memo_costs_work_not_a_crash(store: ArtifactStore, damage: bytes) -> None:
    manifest = note(store, "a")
    store.publish(manifest)
    store.remember_part("1" * 64, PartMemo(files=manifest.parts[0].files, counts={}))
    for path in names(store, "memo"):
        store.backend.local_path(path).write_bytes(damage)
    assert store.done(manifest.action) is None
    assert store.part_memo("1" * 64) is None
    store.publish(manifest)
    store.remember_part("1" * 64, PartMemo(files=manifest.parts[0].files, counts={}))
    assert store.done(manifest.action) is not None
    assert store.part_memo("1" * 64) is not None


def test_a_damaged_manifest_is_named_with_its_remedy(store: ArtifactStore) -> None:
    artifact = store.publish(note(store, "a"))
    path = store.path_of(artifact.digest)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StoreError, match=rf"objects/../{artifact.digest}.*delete that file and run"):
        store.get("a")
    with pytest.raises(StoreError, match="is no manifest"):
        store.open(store.add_bytes(b"something else"))


# hostile names -------------------------------------------------------------------------------------------------------

HOSTILE = [
    *("", ".", "..", "../x", "../../etc/passwd", "/etc", "/", "a/", "/a", "a//b", "a/../b", "a/./b", "a\\b", "a\0b"),
    *("a\n", " a", "a b", "A", "é", "~", "-a", "_", "_a", ".a", "a/_/1.json", "*", "$HOME"),
    *("a" * 121, "a" * 10**5, "a/" + "b" * 300),
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_refused_before_anything_is_made(tmp_path: Path, name: str) -> None:
    store = open_store(tmp_path)
    mill = toys.Mill(store)
    made: list[int] = []

    def make() -> tuple[list[Any], list[Any], dict[str, Any]]:
        made.append(1)
        return [], [], {}

    def produce(asset: str, key: str | None) -> None:
        mill.runner.produce(toys.Action(asset, key, (), {}), make)

    uses: list[Callable[[str, str | None], Any]] = [store.latest, store.references, store.key_name, produce]
    for use in uses:
        for asset, key in ((name, None), (name, "b.c"), ("a", name)):
            with pytest.raises(StoreError, match="cannot be") as caught:
                use(asset, key)
            assert len(str(caught.value)) < 400
            assert "\0" not in str(caught.value)
    assert made == []
    with pytest.raises(StoreError, match="cannot be"):
        store.append(name, {"key": "x"}, unique="key")
    with pytest.raises(StoreError, match="cannot be"):
        open_store(tmp_path, name)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert {path.name for path in tmp_path.iterdir()} == {"store"}


@settings(max_examples=100, deadline=None)
@given(st.text("abc019._-/A \0", min_size=1, max_size=20))
def test_every_legal_partition_key_is_legal_in_the_store(key: str) -> None:
    """What `split_key` accepts the store accepts, as one segment inside its own folder."""
    store = object.__new__(ArtifactStore)
    store.project = "p"
    try:
        split_key(key)
    except BadKeyError:
        return
    assert store.key_name("a", key) == f"p/a/{key}"
    assert "/" not in key


def test_assets_of_a_lane_have_two_segments(store: ArtifactStore) -> None:
    store.publish(note(store, "nano/base_report"))
    store.publish(note(store, "nano/continued_report", "r0001"))
    assert names(store, "refs") == ["refs/toy/nano/base_report/_/1.json", "refs/toy/nano/continued_report/r0001/1.json"]


# kills ---------------------------------------------------------------------------------------------------------------


def test_every_failpoint_in_the_code_is_declared_and_every_declared_one_is_passed() -> None:
    import ast

    passed: set[str] = set()
    for path in [
        *(ROOT / "resources").rglob("*.py"),
        *(ROOT / "assets").rglob("*.py"),
        *(ROOT / "pipelines").rglob("*.py"),
    ]:
        tree = ast.parse(path.read_text("utf-8"))
        constants = {
            target.id: node.value.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "failpoint" and node.args:
                argument = node.args[0]
                passed.add(argument.value if isinstance(argument, ast.Constant) else constants[argument.id])  # type: ignore[arg-type, attr-defined]
    assert passed == set(failpoints.NAMES)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    root = tmp_path_factory.mktemp("uninterrupted")
    toys.Mill(open_store(root)).all(toys.TEXTS)
    return files_of(root / "store")


@pytest.mark.parametrize(
    "failpoint", ["part_write:1", "part_write:5", "manifest:1", "manifest:3", "reference:1", "reference:2"]
)
def test_a_killed_run_leaves_nothing_half_and_the_next_one_gives_the_same_files(
    tmp_path: Path, uninterrupted: dict[str, bytes], failpoint: str
) -> None:
    finish_killed(start("all", str(tmp_path), "1", failpoint=failpoint))
    store = open_store(tmp_path)
    left = files_of(tmp_path / "store")
    assert left.items() <= uninterrupted.items()
    assert len(left) < len(uninterrupted)
    assert verify(store).errors == []
    toys.Mill(store).all(toys.TEXTS)
    assert files_of(tmp_path / "store") == uninterrupted
    collect(store, history=None, grace_seconds=0, now=2**40, delete=True)
    assert (
        files_of(
            tmp_path / "store", tops=[path.name for path in (tmp_path / "store").iterdir() if path.name != "locks"]
        )
        == uninterrupted
    )


def test_a_killed_worker_process_of_two_leaves_nothing_half(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    """The documents are there, so the first write is a worker's; the parent reports it, the next run has the files."""
    toys.Mill(open_store(tmp_path)).documents(toys.TEXTS)
    process = start("all", str(tmp_path), "2", failpoint="part_write:1:" + str(tmp_path / "killed"))
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "WorkerDiedError: a worker process died during run_part" in err
    assert files_of(tmp_path / "store").items() < uninterrupted.items()
    toys.Mill(open_store(tmp_path)).all(toys.TEXTS)
    assert files_of(tmp_path / "store") == uninterrupted


# races ---------------------------------------------------------------------------------------------------------------


def race(command: str, root: Path, rounds: int) -> list[str]:
    """Two processes that start at one moment; their outputs."""
    go = root / "go"
    processes = [start(command, str(root), name, str(go), str(rounds)) for name in ("one", "two")]
    wait_until(lambda: all((root / f"ready-{name}").exists() for name in ("one", "two")) or dead(processes))
    go.touch()
    return [finish(process) for process in processes]


def dead(processes: list[subprocess.Popen[str]]) -> bool:
    return any(process.poll() is not None for process in processes)


def test_two_writers_of_one_key_take_distinct_numbers_without_gaps(tmp_path: Path) -> None:
    race("refer", tmp_path, 15)
    store = open_store(tmp_path)
    history = store.references("race", None)
    assert len(history) == len(list(tmp_path.glob("store/refs/toy/race/_/*.json"))) == 1 + 2 * 15
    assert len({reference.manifest for reference in history}) == len(history)
    texts = [store.open(item.manifest).whole("rows")["text"][0].as_py() for item in history[1:]]
    for name in ("one", "two"):
        assert [text for text in texts if text.startswith(name)] == [f"{name}-{number}" for number in range(15)]
    assert verify(store).errors == []


def test_two_appenders_agree_on_every_number(tmp_path: Path) -> None:
    """A shared key gets one number that both are told; own keys get numbers of their own; no gaps, no doubles."""
    told = [json.loads(out) for out in race("append", tmp_path, 15)]
    entries = open_store(tmp_path).ledger("batches")
    numbers = {entry["key"]: number for number, entry in enumerate(entries, start=1)}
    assert len(numbers) == len(entries) == 3 * 15
    for answers in told:
        assert answers == {key: numbers[key] for key in answers}
    assert sorted(path.name for path in (tmp_path / "store/ledger/toy/batches").iterdir()) == sorted(
        f"{number}.json" for number in range(1, 46)
    )


def test_an_appended_entry_is_told_again_not_changed(store: ArtifactStore) -> None:
    assert store.append("batches", {"key": "a.b", "reason": "first"}, unique="key") == 1
    assert store.append("batches", {"key": "a.c"}, unique="key") == 2
    assert store.append("batches", {"key": "a.b", "reason": "second"}, unique="key") == 1
    assert store.ledger("batches") == [{"key": "a.b", "reason": "first"}, {"key": "a.c"}]
    assert open_store(Path(store.url).parent, "other").ledger("batches") == []


def test_only_one_of_two_exclusive_creates_wins(store: ArtifactStore) -> None:
    backend = store.backend
    assert [backend.create("refs/x", data) for data in (b"1", b"2")] == [True, False]
    assert backend.read("refs/x") == b"1"
    assert names(store, "tmp") == []


# work ----------------------------------------------------------------------------------------------------------------


def test_work_folders_come_and_go(store: ArtifactStore) -> None:
    folder = store.work_folder("crawl/" + "a" * 64)
    (folder / "state").write_text("x")
    assert store.work_folder("crawl/" + "a" * 64) == folder
    store.drop_work("crawl/" + "a" * 64)
    assert not folder.exists()
    store.drop_work("crawl/" + "a" * 64)


def test_manifests_of_another_format_do_not_open(store: ArtifactStore) -> None:
    value = json.loads(note(store, "a").encode())
    digest = store.add_bytes((json.dumps({**value, "surprise": 1}) + "\n").encode())
    with pytest.raises(StoreError, match="is no manifest"):
        store.open(digest)
    assert isinstance(note(store, "a"), Manifest)
