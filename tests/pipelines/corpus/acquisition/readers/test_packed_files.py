"""Files inside files: tars and zips of documents, and compressed single documents, against Python's own packers."""

import bz2
import gzip
import io
import lzma
import tarfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.readers import packed_xml, read_records
from pipelines.corpus.acquisition.readers.tar import tar_members
from pipelines.corpus.acquisition.records import Drop, Record
from pipelines.corpus.acquisition.streams import Chunk
from tests.pipelines.corpus.acquisition.archives import read_limited
from tests.pipelines.corpus.acquisition.packed import docx_members, epub_members, paragraph, pdf_bytes, xhtml, zipped

FOLDER = ReaderConfig(format="folder")
FILES = {"a.txt": b"one", "deep/b c.txt": b"two " * 5000, "deep/ü#%.txt": b"drei", f"{'long/' * 60}n.txt": b"4"}


def tar_bytes(files: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=form) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def zip_bytes(files: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return sink.getvalue()


def read(path: Path, data: bytes, config: ReaderConfig = FOLDER) -> list[Record | Drop]:
    path.write_bytes(data)
    return list(read_records(path, "x.tar", config))


def bodies(items: list[Record | Drop]) -> dict[str, object]:
    return {item.locator: item.body for item in items if isinstance(item, Record)}


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_members_of_a_tar_are_documents_whatever_packs_it(
    tmp_path: Path, pack: Callable[[bytes], bytes], form: int
) -> None:
    items = read(tmp_path / "a", pack(tar_bytes(FILES, form)))
    escaped = {"deep/ü#%.txt": "deep/ü%23%25.txt"}
    assert bodies(items) == {f"x.tar#{escaped.get(name, name)}#0": data for name, data in FILES.items()}
    assert len(items) == len(FILES)


def test_members_of_a_zip_are_documents_and_patterns_choose(tmp_path: Path) -> None:
    files = {**FILES, "picture.bin": b"\0\1"}
    items = read(tmp_path / "a", zip_bytes(files))
    assert len(bodies(items)) == len(FILES)
    assert [(item.locator, item.reason) for item in items if isinstance(item, Drop)] == [
        ("x.tar#picture.bin#0", "binary_file")
    ]
    some = read(tmp_path / "a", zip_bytes(files), ReaderConfig(format="folder", members=("*.txt",)))
    assert set(bodies(some)) == {"x.tar#a.txt#0"}
    assert Counter(item.reason for item in some if isinstance(item, Drop)) == {"member_left_out": 4}


def test_rows_and_pages_lie_in_archives_too(tmp_path: Path) -> None:
    rows = tar_bytes({"a.jsonl": b'{"text": "x"}\nbad\n', "b.jsonl.gz": gzip.compress(b'{"text": "y"}\n')})
    items = read(tmp_path / "a", gzip.compress(rows), ReaderConfig(format="jsonl"))
    assert bodies(items) == {"x.tar#a.jsonl#0": "x", "x.tar#b.jsonl.gz#0": "y"}
    assert [(item.locator, item.reason) for item in items if isinstance(item, Drop)] == [
        ("x.tar#a.jsonl#1", "bad_json")
    ]
    config = ReaderConfig(format="folder", html_suffixes=(".html",))
    (page,) = read(tmp_path / "a", tar_bytes({"p.html": b"<p>x"}), config)
    assert isinstance(page, Record) and page.kind == "html"


def test_a_paper_that_is_packed_as_one_tar_finds_what_it_includes(tmp_path: Path) -> None:
    paper = {
        "main.tex": b"\\begin{document}Whole. \\input{sec/a}\\end{document}",
        "sec/a.tex": b"Part.",
        "f.pdf": b"\0",
    }
    items = read(tmp_path / "a", gzip.compress(tar_bytes(paper)), ReaderConfig(format="latex", members=("**/*.tex",)))
    assert bodies(items) == {"x.tar#main.tex#0": "Whole. Part."}
    assert sorted(item.reason for item in items if isinstance(item, Drop)) == ["included_file", "member_left_out"]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_single_documents_may_be_compressed_or_lie_in_archives(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    docx, epub = tmp_path / "a.docx", tmp_path / "b.epub"
    zipped(docx, docx_members(paragraph("Words of a letter.")))
    zipped(epub, epub_members({"a.xhtml": xhtml("<p>Words of a book.</p>")}))
    pdf = pdf_bytes([["Words of a page."]])
    for data, kind, words in (
        (docx.read_bytes(), "docx", "Words of a letter."),
        (epub.read_bytes(), "epub", "Words of a book."),
        (pdf, "pdf", "Words of a page."),
    ):
        config = ReaderConfig.model_validate({"format": kind})
        packs = (data, pack(data), pack(tar_bytes({"one": data})), zip_bytes({f"one.{kind}": data}))
        for packed in packs:
            (found,) = read(tmp_path / "packed", packed, config)
            assert isinstance(found, Record), (kind, found)
            assert str(found.body).strip() == words
        (cut,) = read(tmp_path / "packed", packs[1][:-10], config)
        assert isinstance(cut, Drop)
        assert cut.reason.startswith("truncated_")
    # An office document in a folder of texts is a binary file, not an archive of XML texts.
    (found,) = read(tmp_path / "packed", docx.read_bytes())
    assert isinstance(found, Drop)
    assert found.reason == "binary_file"


def test_what_is_no_file_is_counted_and_names_write_nothing(tmp_path: Path) -> None:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, kind in (("link", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE), ("dev", tarfile.CHRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        for name in ("../../escape.txt", "/absolute.txt", "a\nb.txt"):
            info = tarfile.TarInfo(name)
            info.size = 2
            archive.addfile(info, io.BytesIO(b"ok"))
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    before = sorted(tmp_path.rglob("*"))
    items = read(tmp_path / "a", sink.getvalue())
    assert [item.reason for item in items if isinstance(item, Drop)] == ["not_a_file"] * 3
    assert set(bodies(items)) == {"x.tar#../../escape.txt#0", "x.tar#absolute.txt#0", "x.tar#a%0Ab.txt#0"}
    assert sorted(tmp_path.rglob("*")) == [*before, tmp_path / "a"]
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive2:
        archive2.writestr(link, "/etc/passwd")
        archive2.writestr("../up.txt", "ok")
    items = read(tmp_path / "a", packed.getvalue())
    assert [item.reason for item in items if isinstance(item, Drop)] == ["not_a_file"]
    assert set(bodies(items)) == {"x.tar#../up.txt#0"}


def test_sizes_that_lie_sparse_files_and_endless_names_are_drops(tmp_path: Path) -> None:
    whole = tar_bytes({"a.txt": b"x" * 2000, "b.txt": b"y"}, tarfile.USTAR_FORMAT)
    torn = [item.reason for item in read(tmp_path / "a", whole[:1200]) if isinstance(item, Drop)]
    assert torn == ["truncated_member", "truncated_tar"]
    broken = bytearray(tar_bytes({"a.txt": b"x", "b.txt": b"y", "c.txt": b"z"}, tarfile.USTAR_FORMAT))
    broken[1024 + 5] ^= 1  # in the header of b.txt, whose checksum is wrong then
    items = read(tmp_path / "a", bytes(broken))
    assert [item.body if isinstance(item, Record) else item.reason for item in items] == [b"x", "bad_tar_header", b"z"]
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for headers in ({"GNU.sparse.realsize": str(1 << 40), "GNU.sparse.major": "1"}, {"comment": "x" * 200_000}):
            info = tarfile.TarInfo("s")
            info.pax_headers, info.size = headers, 1
            archive.addfile(info, io.BytesIO(b"s"))
    assert [item.reason if isinstance(item, Drop) else item.body for item in read(tmp_path / "a", sink.getvalue())] == [
        "sparse_member",
        "bad_tar_header",
        b"s",
    ]


def test_bombs_cost_their_limit(tmp_path: Path) -> None:
    zeros = tar_bytes({"a.txt": b" " * (400 << 20)})
    (tmp_path / "bomb.tar.gz").write_bytes(gzip.compress(zeros, 6))
    del zeros
    added, counts = read_limited(tmp_path / "bomb.tar.gz", FOLDER.model_dump_json())
    assert counts == {"truncated_member": 1, "expansion_limit": 1}
    assert added < 200
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a", "w") as member:
        for _ in range(700):
            member.write(b" " * (1 << 20))
    added, counts = read_limited(tmp_path / "bomb.zip", FOLDER.model_dump_json())
    assert counts == {"expansion_limit": 1}
    assert added < 200


def test_members_of_one_name_are_read_once_and_counted(tmp_path: Path) -> None:
    """`tar -r` appends a newer copy under the old name; two records of one place would be one document."""
    sink, packed = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive, zipfile.ZipFile(packed, "w") as archive2:
        for name, data in (("a.tex", b"first"), ("b.tex", b"other"), ("a.tex", b"second"), ("/a.tex", b"third")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                archive2.writestr(name, data)
    for config in (FOLDER, ReaderConfig(format="latex")):
        for data in (sink.getvalue(), packed.getvalue()):
            items = read(tmp_path / "a", data, config)
            found = {
                place: body if isinstance(body, bytes) else str(body).encode() for place, body in bodies(items).items()
            }
            assert found == {"x.tar#a.tex#0": b"first", "x.tar#b.tex#0": b"other"}
            drops = [item for item in items if isinstance(item, Drop)]
            assert [item.reason for item in drops] == ["duplicate_member"] * 2
            assert len({item.locator for item in items}) == len(items)


@pytest.mark.parametrize(
    ("data", "archive"),
    [
        (b"notes on media types", True),
        (b"application/epub+zip", False),
        (b"application/vnd.oasis.opendocument.text\n", False),
    ],
)
def test_a_zip_with_a_file_named_mimetype_is_an_archive_unless_it_is_a_book_or_a_document(
    tmp_path: Path, data: bytes, archive: bool
) -> None:
    items = read(tmp_path / "a", zip_bytes({"mimetype": data, "a.txt": b"one"}))
    if archive:
        assert bodies(items) == {"x.tar#mimetype#0": data, "x.tar#a.txt#0": b"one"}
    else:
        assert (
            [item.reason for item in items if isinstance(item, Drop)]
            == ["binary_file"]
            == [item.reason if isinstance(item, Drop) else "" for item in items]
        )


@pytest.mark.parametrize("format", ["folder", "epub"])
def test_a_directory_beyond_the_limits_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    config = ReaderConfig.model_validate({"format": format})
    names = "".join(f"{number}.txt" for number in range(70_000))
    many = zip_bytes({f"{number}.txt": b"" for number in range(70_000)})  # beyond 65,535 the zip64 record says it
    for limit, value in (("MAX_MEMBERS", 69_999), ("MAX_DIRECTORY_BYTES", 70_000 * 46)):
        with monkeypatch.context() as patch:
            patch.setattr(packed_xml, limit, value)
            (refused,) = read(tmp_path / "a", many, config)
            assert isinstance(refused, Drop) and refused.reason == "member_limit"
            assert "70000 members" in refused.detail
            end = many.rindex(b"PK\5\6")
            masked = many[: end + 12] + b"\xff\xff\xff\xff" + many[end + 16 :]  # as writers that state all in zip64
            (refused,) = read(tmp_path / "a", masked, config)
            assert isinstance(refused, Drop) and f"in {70_000 * 46 + len(names)} bytes" in refused.detail
            small = zip_bytes({"a.txt": b"one", "one.epub": b""})
            assert "member_limit" not in [
                item.reason for item in read(tmp_path / "a", small, config) if isinstance(item, Drop)
            ]


@pytest.mark.parametrize("fill", [b"\0", b"\1"])
def test_a_long_run_of_blocks_without_headers_costs_linear_time(tmp_path: Path, fill: bytes) -> None:
    """Each block once copied the rest of its chunk: 2 KB of zstd cost a minute. Linear is 0.2 s."""
    first = tar_bytes({"a.txt": b"one"}, tarfile.USTAR_FORMAT)
    last = tar_bytes({"b.txt": b"two"}, tarfile.USTAR_FORMAT)
    start = time.process_time()
    items = list(tar_members([Chunk(first + fill * (32 << 20) + last, None, 0)], "x", tmp_path / "scratch"))
    assert time.process_time() - start < 6
    kept = [item.name for item in items if not isinstance(item, Drop)]
    drops = [item for item in items if isinstance(item, Drop)]
    assert kept == ["a.txt", "b.txt"]
    expected = [(f"x#byte-{len(first)}", f"{32 << 20} bytes without a tar header")] if fill == b"\1" else []
    assert [(item.locator, item.detail) for item in drops] == expected


@pytest.mark.parametrize("cut", [1, 7, 511, 513, 700, 1024, 5000])
def test_chunks_of_any_length_give_the_same_members_and_places(tmp_path: Path, cut: int) -> None:
    broken = bytearray(tar_bytes({"a.txt": b"x" * 700, "b.txt": b"y", "c.txt": b"z"}, tarfile.USTAR_FORMAT))
    broken[1536 + 5] ^= 1
    data = bytes(broken) + tar_bytes({"d.txt": b"d"})[:-600]

    def found(size: int) -> list[tuple[str, ...]]:
        chunks = [Chunk(data[at : at + size], None, at) for at in range(0, len(data), size)]
        members = tar_members(chunks, "x", tmp_path / "scratch")
        return [tuple(item) if isinstance(item, Drop) else (item.name, item.path.read_text()) for item in members]

    assert [row[0] for row in found(len(data))] == [
        "a.txt",
        "x#byte-1536",
        "c.txt",
        "d.txt",
        f"x#byte-{len(data) // 512 * 512}",
    ]
    assert found(cut) == found(len(data))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_damage_is_counted_and_ends(data: st.DataObject) -> None:
    """Flipped, cut and inserted bytes anywhere: other members are read, whatever is lost has a drop."""
    texts = {f"{number}.txt": bytes([65 + number]) * (300 * number + 1) for number in range(8)}
    packed = bytearray(tar_bytes(texts, data.draw(st.sampled_from([tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT]))))
    place = data.draw(st.integers(0, len(packed) - 1))
    change = data.draw(st.sampled_from(["flip", "cut", "insert"]))
    if change == "flip":
        packed[place] ^= data.draw(st.integers(1, 255))
    elif change == "cut":
        del packed[place:]
    else:
        packed[place:place] = data.draw(st.binary(min_size=1, max_size=900))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir("/")
        scratch = Path("/dev/null")
        items = list(tar_members([Chunk(bytes(packed), None, 0)], "x", scratch))
    drops = [item for item in items if isinstance(item, Drop)]
    assert all(item.locator.startswith("x#") and item.detail for item in drops)
    if len(items) - len(drops) < len(texts):
        assert drops
