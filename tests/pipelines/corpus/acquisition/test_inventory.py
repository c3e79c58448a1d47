"""Inventories: deterministic, lossless for any file name, closed to links that leave the root."""

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.core.fingerprint import rows_digest
from pipelines.corpus.acquisition.inventory import escape_path, file_path, take_inventory, unescape_path


@given(st.binary(min_size=1, max_size=40))
def test_escaping_any_name_is_lossless_and_printable(raw: bytes) -> None:
    path = escape_path(raw)
    assert unescape_path(path) == raw
    assert path.isprintable()
    assert "#" not in path
    path.encode()


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_two_names_never_share_an_escape(one: bytes, two: bytes) -> None:
    assert (escape_path(one) == escape_path(two)) == (one == two)


def test_hostile_names_are_listed_and_found_again(tmp_path: Path) -> None:
    names = [b"plain.txt", b"new\nline", b"\xff\xfe", "ü 文.txt".encode(), b"50%#1", b"back\\slash", b"\xc3", b" lead"]
    for name in names:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as stream:  # noqa: PTH118, PTH123
            stream.write(name)
    inventory = take_inventory(tmp_path)
    assert len(inventory.skipped) == 0
    assert inventory.files["path"].to_pylist() == sorted(inventory.files["path"].to_pylist())
    found = [file_path(tmp_path, path).read_bytes() for path in inventory.files["path"].to_pylist()]
    assert sorted(found) == sorted(names)
    for data, row in zip(found, inventory.files.to_pylist(), strict=True):
        assert (row["bytes"], row["digest"]) == (len(data), hashlib.sha256(data).hexdigest())


def test_links_out_devices_and_loops_are_skipped_with_a_reason(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "secret.txt").write_text("x")
    (root / "a.txt").write_text("a")
    (root / "inside").symlink_to(root / "a.txt")
    (root / "out").symlink_to(outside / "secret.txt")
    (root / "folder").symlink_to(outside)
    (root / "dangling").symlink_to(root / "nothing")
    (root / "loop").symlink_to(root / "loop")
    (root / "sub").mkdir()
    (root / "sub" / "up").symlink_to(root)
    os.mkfifo(root / "pipe")
    inventory = take_inventory(root)
    assert inventory.files["path"].to_pylist() == ["a.txt", "inside"]
    reasons = {row["path"]: row["reason"] for row in inventory.skipped.to_pylist()}
    assert reasons == {
        "dangling": "unreadable",
        "folder": "outside_root",
        "loop": "unreadable",
        "out": "outside_root",
        "pipe": "not_a_file",
        "sub/up": "outside_root",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_an_unreadable_file_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "a").chmod(0)
    assert take_inventory(tmp_path).skipped["reason"].to_pylist() == ["unreadable"]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["**"], ["a.py", "b.txt", "sub/c.py", "sub/deep/d.py"]),
        (["*.py"], ["a.py"]),
        (["**/*.py"], ["a.py", "sub/c.py", "sub/deep/d.py"]),
        (["sub/**"], ["sub/c.py", "sub/deep/d.py"]),
        (["*.txt", "*/?.py"], ["b.txt", "sub/c.py"]),
        (["[a].py"], []),
        ([], []),
    ],
)
def test_patterns(tmp_path: Path, patterns: list[str], expected: list[str]) -> None:
    for name in ("b.txt", "sub/c.py", "a.py", "sub/deep/d.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert take_inventory(tmp_path, patterns).files["path"].to_pylist() == expected


def test_order_of_creation_does_not_show_and_a_file_is_its_own_inventory(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, names in ((one, "abc"), (two, "cba")):
        folder.mkdir()
        for name in names:
            (folder / name).write_text(name)
    assert rows_digest(take_inventory(one).files) == rows_digest(take_inventory(two).files)
    single = take_inventory(one / "a")
    assert single.files["path"].to_pylist() == ["a"]
    with pytest.raises(FileNotFoundError, match="check its path"):
        take_inventory(tmp_path / "none")


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a%00b", "%2E%2E/x"])
def test_a_path_that_leaves_the_root_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="does not name a file below"):
        file_path(tmp_path, path)
