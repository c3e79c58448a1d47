"""A store on S3, with a server of S3's semantics: one winner of a name, one holder of a key, and whole collections."""

import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.backends import StoreError
from resources.compute import ComputeEngine
from resources.housekeeping import collect, verify
from resources.leases import LeaseLostError, LeaseTimes, look
from resources.locks import BusyError
from resources.remote_backend import RemoteBackend, open_backend
from resources.stages import StageRunner
from resources.store import ArtifactStore
from tests.resources import toys
from tests.resources.processes import finish, start, wait_until
from tests.resources.s3_server import BUCKET, S3Server

MODULE = "tests.resources.test_remote_store"
FUTURE = 2.0**40


@pytest.fixture
def url(s3: S3Server) -> Iterator[str]:
    """A store of its own for each test."""
    yield f"s3://{BUCKET}/{uuid.uuid4().hex}"
    s3.away = s3.ignores_conditions = False


def open_store(url: str, machine: Path) -> ArtifactStore:
    """The store as a machine with this cache sees it, with short leases."""
    store = ArtifactStore(url, "toy", machine)
    store.lease_times = LeaseTimes(expiry=3.0, beat=0.2)
    return store


def main(arguments: list[str]) -> None:
    """`create` names in a race; make `all` toys; `hold` a lock until killed."""
    command, url, machine, *rest = arguments
    store = open_store(url, Path(machine))
    if command == "create":
        Path(f"{machine}.ready").touch()
        wait_until(Path(rest[0]).exists)
        print(json.dumps([store.backend.create(f"race/{number}", machine.encode()) for number in range(30)]))
    elif command == "all":
        mill = toys.Mill(store, workers=int(rest[0]), marks=Path(rest[1]))
        print(json.dumps([artifact.content for artifact in mill.all(toys.TEXTS)]))
    else:
        with store.lock("toy/documents/a.b"):
            Path(rest[0]).touch()
            time.sleep(600)


# the verbs -----------------------------------------------------------------------------------------------------------


def test_the_verbs(url: str, tmp_path: Path) -> None:
    backend, other = open_backend(url, tmp_path / "one"), open_backend(url, tmp_path / "two")
    assert isinstance(backend, RemoteBackend)
    assert backend.names("refs/a") == []
    assert list(backend.walk("refs")) == []
    assert not other.exists("refs/a/2.json")
    assert backend.create("refs/a/2.json", b"two") is True
    assert other.exists("refs/a/2.json")
    assert other.create("refs/a/2.json", b"other") is False
    assert backend.create("refs/a/10.json", b"") is True
    assert other.read("refs/a/2.json") == b"two"
    assert (other.head("refs/a/2.json", 2), other.head("refs/a/2.json", 9), other.head("refs/a/10.json", 1)) == (
        b"tw",
        b"two",
        b"",
    )
    assert other.names("refs/a") == ["10.json", "2.json"]
    backend.overwrite("refs/a/2.json", b"anew")
    assert [(path, size) for path, size, _ in other.walk("refs")] == [("refs/a/10.json", 0), ("refs/a/2.json", 4)]
    assert all(abs(changed - time.time()) < 60 for _, _, changed in other.walk("refs"))
    source = backend.scratch / "unfinished"
    source.write_bytes(b"bytes")
    backend.put(source, "objects/ab/abc")
    assert not source.exists()
    assert backend.local_path("objects/ab/abc").read_bytes() == other.local_path("objects/ab/abc").read_bytes()
    backend.refresh("objects/ab/abc")
    backend.delete("objects/ab/abc")
    backend.delete("objects/ab/abc")
    assert not other.exists("objects/ab/abc")
    with pytest.raises(FileNotFoundError):
        backend.local_path("objects/ab/abc")
    assert list(backend.scratch.iterdir()) == []


def test_a_create_is_a_conditional_put_whatever_its_size(url: str, tmp_path: Path, s3: S3Server) -> None:
    """The condition goes with the one put, or with the completion of a put in several parts."""
    backend = open_backend(url, tmp_path)
    assert isinstance(backend, RemoteBackend)
    backend.create("first", b"")  # proves the server
    before = s3.requests.copy()
    assert backend.create("small", b"1") is True
    assert s3.requests["PUT if-none-match"] - before["PUT if-none-match"] == 1
    name, big = f"{backend.root}/big", os.urandom(12 << 20)
    backend.files.pipe_file(name, big, mode="create", chunksize=5 << 20)
    assert s3.requests["POST if-none-match"] - before["POST if-none-match"] == 1
    with pytest.raises(FileExistsError):
        backend.files.pipe_file(name, big[::-1], mode="create", chunksize=5 << 20)
    assert backend.read("big") == big


def test_of_racing_processes_one_creates_each_name(url: str, tmp_path: Path) -> None:
    machines = [tmp_path / f"machine{number}" for number in range(3)]
    racers = [start("create", url, str(machine), str(tmp_path / "go"), module=MODULE) for machine in machines]
    wait_until(lambda: all(Path(f"{machine}.ready").exists() for machine in machines))
    (tmp_path / "go").touch()
    won = [json.loads(finish(racer)) for racer in racers]
    assert [sum(wins) for wins in zip(*won, strict=True)] == [1] * 30
    backend = open_backend(url, tmp_path / "look")
    for number, wins in enumerate(zip(*won, strict=True)):
        assert backend.read(f"race/{number}") == str(machines[wins.index(True)]).encode()


def test_a_server_that_ignores_the_condition_is_refused_unless_one_process_writes(
    url: str, tmp_path: Path, s3: S3Server
) -> None:
    s3.ignores_conditions = True
    store = open_store(url, tmp_path)
    with pytest.raises(StoreError, match="let one name be created twice, so it ignores the condition If-None-Match"):
        store.append("batches", {"key": "a.b"}, unique="key")
    with pytest.raises(StoreError, match="GRISTMILL_SINGLE_WRITER=1"), store.lock("toy/a/_"):
        pass
    assert list(store.backend.walk("")) == []
    single = ArtifactStore(url, "toy", tmp_path, single_writer=True)
    with single.lock("toy/a/_"):
        assert single.append("batches", {"key": "a.b"}, unique="key") == 1
    assert single.backend.names("leases") == []


def test_a_missing_bucket_is_named_at_the_first_write_and_not_made(tmp_path: Path, s3: S3Server) -> None:
    store = open_store("s3://nowhere/store", tmp_path)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"store s3://nowhere/store: The specified bucket does not exist; create"):
            store.add_bytes(b"x")
        with pytest.raises(StoreError, match="create the bucket, or mend GRISTMILL_STORE"):
            store.append("batches", {"key": "a.b"}, unique="key")


def test_a_server_that_does_not_answer_or_refuses_is_named(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(url, tmp_path)
    assert isinstance(store.backend, RemoteBackend)
    files = store.backend.files

    class NoCredentialsError(Exception):
        """As drivers have them: no OSError."""

    for name, error in (("cat_file", NoCredentialsError("none")), ("find", PermissionError("Access Denied"))):

        def fails(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        monkeypatch.setattr(files, name, fails)
    with pytest.raises(StoreError, match=r"no answer for ledger/x \(NoCredentialsError: none\); look at the cred"):
        store.backend.read("ledger/x")
    with pytest.raises(
        StoreError, match=r"refs is refused \(Access Denied\); look at the credentials and their rights"
    ):
        list(store.backend.walk("refs"))


def test_an_old_object_that_is_used_anew_is_young_again(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(url, tmp_path)
    digest = store.add_bytes(b"bytes")
    (path, _, written), *_ = store.backend.walk("objects")
    time.sleep(1.1)  # the server's dates are whole seconds
    store.backend.refresh(path)
    assert [changed for _, _, changed in store.backend.walk("objects")] == [written]
    monkeypatch.setattr("resources.remote_backend.REFRESH_SECONDS", 0.0)
    store.backend.refresh(path)
    assert [changed for _, _, changed in store.backend.walk("objects")] > [written]
    assert store.backend.read(path) == b"bytes"
    assert store.has(digest)


@pytest.mark.parametrize(("protocol", "driver"), [("s3", "s3fs"), ("gs", "gcsfs")])
def test_a_missing_driver_names_the_extra_that_brings_it(
    protocol: str, driver: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec  # noqa: F401

    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, protocol, raising=False)
    for name in [name for name in sys.modules if name.split(".")[0] == driver]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(
        StoreError, match=rf"driver of {protocol}:// is not installed .*pip install -e '\.\[{protocol}\]'"
    ):
        open_backend(f"{protocol}://bucket/name", tmp_path)


# locks ---------------------------------------------------------------------------------------------------------------


def test_two_machines_exclude_each_other_and_one_machine_needs_no_server_for_that(url: str, tmp_path: Path) -> None:
    one, two, neighbour = (
        open_store(url, tmp_path / "1"),
        open_store(url, tmp_path / "2"),
        open_store(url, tmp_path / "1"),
    )
    with one.lock("toy/a/_") as hold:
        hold.check()
        hold.confirm()
        with (
            pytest.raises(BusyError, match=rf"leases/toy/a/_ is held by process {os.getpid()} on"),
            two.lock("toy/a/_"),
        ):
            pass
        with pytest.raises(BusyError, match=r"_\.lock is held by process"), neighbour.lock("toy/a/_"):
            pass
        with two.lock("toy/b/_"):
            pass
    with two.lock("toy/a/_"):
        pass


def test_of_two_machines_that_want_one_key_one_computes(url: str, tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    processes = [
        start("all", url, str(tmp_path / name), "1", str(tmp_path / "marks"), module=MODULE) for name in ("one", "two")
    ]
    contents = [json.loads(finish(process)) for process in processes]
    local = toys.Mill(toys.open_store(tmp_path / "local")).all(toys.TEXTS)
    assert contents == [[artifact.content for artifact in local]] * 2
    mill = toys.Mill(open_store(url, tmp_path / "three"), marks=tmp_path / "marks")
    assert (mill.calls("lengths"), mill.calls("keep")) == ([2, 3, 4], [2, 3, 4])
    assert {path for path, _ in mill.store.referenced()} == {
        f"refs/toy/{asset}/a.b/1.json" for asset in ("documents", "lengths", "short")
    }


def test_after_a_kill_another_machine_computes_only_the_rest(url: str, tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    process = start(
        "all", url, str(tmp_path / "one"), "1", str(tmp_path / "marks"), failpoint="part_write:7", module=MODULE
    )
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    mill = toys.Mill(open_store(url, tmp_path / "two"), marks=tmp_path / "marks")
    assert mill.calls("lengths") == [2, 3, 4]
    started = time.monotonic()
    mill.all(toys.TEXTS)
    assert time.monotonic() - started >= mill.store.lease_times.expiry
    assert (mill.calls("lengths"), mill.calls("keep")) == ([3], [2, 3, 4])


def test_a_stage_whose_lease_was_lost_publishes_nothing(url: str, tmp_path: Path) -> None:
    """While it computes another machine takes the key over, as after a long freeze, and publishes first."""
    one, two = toys.Mill(open_store(url, tmp_path / "one")), toys.Mill(open_store(url, tmp_path / "two"))
    inner = one.runner._manifest

    def taken_over(*arguments: object) -> object:
        assert one.store.backend.create(f"leases/{two.store.key_name('documents', 'a.b')}/000000000002.json", b"{}")
        return inner(*arguments)  # type: ignore[arg-type]

    one.runner._manifest = taken_over  # type: ignore[assignment, method-assign]
    with pytest.raises(LeaseLostError, match="taken over as number 2 while number 1 was thought dead"):
        one.documents(toys.TEXTS)
    assert two.store.latest("documents", "a.b") is None
    assert list(two.store.backend.walk("memo/actions")) == []
    two.runner.lock_wait_seconds = 30
    two.documents(toys.TEXTS)
    assert len(two.store.references("documents", "a.b")) == 1


def test_work_whose_lease_is_lost_ends_at_its_next_part(url: str, tmp_path: Path, s3: S3Server) -> None:
    store = open_store(url, tmp_path)
    mill = toys.Mill(store)
    documents = mill.documents(toys.TEXTS)
    runner = StageRunner(store, ComputeEngine(1), tell=lambda *_, **__: cut())
    mill.runner = runner

    def cut() -> None:
        overwrite = store.backend.overwrite  # type: ignore[union-attr]

        def away(path: str, data: bytes) -> None:
            raise ConnectionError("no route")

        store.backend.overwrite = away  # type: ignore[union-attr, method-assign]
        time.sleep(0.8 * store.lease_times.expiry)
        store.backend.overwrite = overwrite  # type: ignore[union-attr, method-assign]

    with pytest.raises(LeaseLostError, match=r"no heartbeat reached the store for . s"):
        mill.lengths(documents)
    assert len(list(store.backend.walk("memo/parts"))) == 2  # of three: cut off after the first, known after the second


# keeping -------------------------------------------------------------------------------------------------------------


def test_a_store_on_s3_gives_the_digests_of_a_local_one_with_workers(url: str, tmp_path: Path) -> None:
    local = toys.Mill(toys.open_store(tmp_path / "local")).all(toys.TEXTS)
    (tmp_path / "marks").mkdir()
    # In a process of its own: workers get the environment of the first pool of a process, maybe without the server.
    process = start("all", url, str(tmp_path / "cache"), "2", str(tmp_path / "marks"), module=MODULE)
    assert json.loads(finish(process)) == [item.content for item in local]
    again = toys.Mill(open_store(url, tmp_path / "other"))
    assert [item.digest for item in again.all(toys.TEXTS)] == [item.digest for item in local]
    assert set(again.runner.computed.values()) == {False}
    assert verify(again.store).errors == []


def test_a_remote_object_that_rots_is_found_though_the_copy_here_is_whole(url: str, tmp_path: Path) -> None:
    store = open_store(url, tmp_path)
    documents, lengths, _ = toys.Mill(store).all(toys.TEXTS)
    stored = documents.parts[0].files["documents"]
    for digest in (stored.object, lengths.digest):
        path = f"objects/{digest[:2]}/{digest}"
        data = store.backend.read(path)
        store.backend.overwrite(path, bytes([data[0] ^ 1]) + data[1:])  # type: ignore[union-attr]
        assert store.path_of(digest).read_bytes() == data
    errors = verify(store).errors
    assert len(errors) == 2
    assert any(stored.object in error and "does not have the bytes of its name" in error for error in errors)
    assert any(lengths.digest in error for error in errors)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_collection_sweeps_both_sides(url: str, tmp_path: Path) -> None:
    one, two = open_store(url, tmp_path / "one"), open_store(url, tmp_path / "two")
    mill = toys.Mill(one)
    mill.all(toys.TEXTS)
    waste = one.add_bytes(b"waste")
    copy = two.path_of(waste)
    (two.backend.scratch / "unfinished").write_bytes(b"x")
    action = one.get("documents", "a.b").manifest.action
    (two.work_folder(f"training/{action}") / "state").write_bytes(b"x")
    running = two.work_folder("training/" + "e" * 64)
    (running / "state").write_bytes(b"x")
    listed = collect(one, history=None, grace_seconds=0, now=FUTURE, delete=False)
    assert [path for path, _ in listed.sweep] == [f"objects/{waste[:2]}/{waste}"]
    assert one.has(waste)
    collect(one, history=None, grace_seconds=0, now=FUTURE, delete=True)
    assert not two.has(waste)
    assert copy.exists()
    found = collect(two, history=None, grace_seconds=0, now=FUTURE, delete=True)
    assert {path.rpartition("/")[2] for path, _ in found.sweep} == {waste, "unfinished", "state"}
    assert not copy.exists()
    assert (running / "state").exists()
    assert not (tmp_path / "two/work/training" / action).exists()
    assert verify(two).errors == []
    assert collect(two, history=None, grace_seconds=0, now=FUTURE, delete=True).sweep == []


def test_a_collection_frees_leases_of_the_dead_only(url: str, tmp_path: Path) -> None:
    process = start("hold", url, str(tmp_path / "one"), str(tmp_path / "ready"), module=MODULE)
    store = open_store(url, tmp_path / "two")
    wait_until((tmp_path / "ready").exists)
    with store.lock("toy/live/_") as hold:
        assert collect(store, history=None, grace_seconds=3600, now=time.time(), delete=True).sweep == []
        for _ in range(2):
            collect(store, history=None, grace_seconds=0, now=FUTURE, delete=True)
            assert process.poll() is None
            assert not look(store.backend, "leases/toy/documents/a.b").free  # type: ignore[arg-type]
        hold.confirm()
        process.kill()
        process.communicate(timeout=60)
        found = collect(store, history=None, grace_seconds=0, now=FUTURE, delete=True)
        assert {path.rpartition("/")[0] for path, _ in found.sweep} == {"leases/toy/documents/a.b"}
        hold.confirm()
    started = time.monotonic()
    with store.lock("toy/documents/a.b"):
        assert time.monotonic() - started < store.lease_times.expiry
    assert collect(store, history=None, grace_seconds=0, now=FUTURE, delete=True).sweep == []
