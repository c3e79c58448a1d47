"""Ways in through the assets: sources of many kinds to documents, remote ones pinned, cards beside the corpus."""

import gzip
import json
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from assets.corpus import archives
from assets.graph import all_recipes
from assets.recipe import Recipe, produce
from pipelines.core.artifacts import Artifact, read_table
from pipelines.corpus.acquisition.inventory import take_inventory
from pipelines.corpus.acquisition.remote import RemoteChangedError
from resources.fetcher import run_crawl
from resources.home import find_home
from resources.mill import Mill, open_mill
from resources.store import CheckFailedError
from tests.end_to_end.small_project import environment, write_project
from tests.pipelines.corpus.acquisition.crawl.loopback import Reply, page, serve
from tests.pipelines.corpus.acquisition.packed import (
    docx_members,
    epub_members,
    paragraph,
    pdf_bytes,
    xhtml,
    zipped,
)
from tests.resources.s3_server import BUCKET, s3_server
from tests.serving import QuietFiles, quiet_server, serving

WORDS = "These are words of a document that is long enough to be one. "


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of every kind."""
    folder = tmp_path_factory.mktemp("ways")
    for name in ("site", "tex/sec", "hub/data", "office"):
        (folder / name).mkdir(parents=True)
    (folder / "site/rows.csv").write_text('text,url\n"one, two\nthree",http://a/\nlast,http://b/\n')
    (folder / "tex/main.tex").write_text("\\begin{document}Whole. \\input{sec/a}\\end{document}")
    (folder / "tex/sec/a.tex").write_text("Part. % gone")
    with tarfile.open(folder / "papers.tar.gz", "w:gz") as papers:
        papers.add(folder / "tex", "one")
    talk = {"messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]}
    zipped(folder / "talks.zip", {"a/1.json": json.dumps(talk, indent=1), "readme.txt": "no talk"})
    for number in range(2):
        table = pa.table({"text": [f"{WORDS} {number}"], "url": ["http://c/"]})
        pq.write_table(table, folder / f"hub/data/train-{number:05d}-of-00002.parquet")
        pq.write_table(table, folder / f"hub/data/test-{number:05d}-of-00002.parquet")
    (folder / "hub/README.md").write_text("---\nlicense: odc-by\n---\n# Card\n")
    zipped(folder / "office/a.docx", docx_members(paragraph(WORDS)))
    zipped(folder / "office/b.epub", epub_members({"a.xhtml": xhtml(f"<p>{WORDS}</p>")}))
    (folder / "office/c.pdf").write_bytes(pdf_bytes([[WORDS]]))
    return folder


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[str]:
    with serving(quiet_server(partial(QuietFiles, directory=str(folder / "site")))) as url:
        yield url


def mill_of(folder: Path, sources: dict[str, dict[str, Any]], **lane: Any) -> tuple[Mill, dict[str, Recipe]]:
    """A mill over the small project with these sources instead of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    path = write_project(folder)
    project = yaml.safe_load(path.read_text())
    project["corpus"]["sources"] = {
        name: {"domain": "d", "licence": "CC0-1.0", **settings} for name, settings in sources.items()
    }
    project["tokenizers"]["bpe"]["batches"] = []
    project["lanes"]["tiny"].update(lane)
    path.write_text(yaml.safe_dump(project))
    open_mill.cache_clear()
    mill = open_mill(find_home(environment(folder / "home", path, workers=1)))
    return mill, all_recipes(mill.project)


def documents(mill: Mill, recipes: dict[str, Recipe], source: str) -> tuple[Artifact, list[dict[str, Any]]]:
    produce(mill, recipes["source_files"], f"{source}.first")
    artifact, _, _ = produce(mill, recipes["crawled_text"], f"{source}.first")
    return artifact, [row for _, table in artifact.tables("documents") for row in table.to_pylist()]


def test_every_kind_of_source_becomes_documents(folder: Path, site: str, tmp_path: Path) -> None:
    kinds = {"docx": "a.docx", "epub": "b.epub", "pdf": "c.pdf"}
    sources = {
        "web": {"path": f"{site}/rows.csv", "reader": {"format": "csv", "url_field": "url"}},
        "tex": {"path": str(folder / "tex"), "reader": {"format": "latex"}},
        "papers": {"path": str(folder / "papers.tar.gz"), "reader": {"format": "latex"}},
        "talks": {
            "path": str(folder / "talks.zip"),
            "reader": {"format": "json_array", "dialogue": {"layout": "messages"}, "members": ["**/*.json"]},
        },
        "hub": {"path": str(folder / "hub"), "dataset": {"split": "train"}, "reader": {"preset": "fineweb"}},
        **{kind: {"path": str(folder / "office" / file), "reader": {"format": kind}} for kind, file in kinds.items()},
    }
    mill, recipes = mill_of(tmp_path, sources)
    artifact, rows = documents(mill, recipes, "web")
    assert sorted(row["text"] for row in rows) == ["last", "one, two\nthree"]
    (fetched,) = artifact.table(artifact.parts[0], "fetched").to_pylist()
    assert fetched["path"] == "rows.csv"
    assert fetched["mark"].startswith("changed:")
    assert len(fetched["sha256"]) == 64
    artifact, rows = documents(mill, recipes, "tex")
    assert [row["text"] for row in rows] == ["Whole. Part."]
    assert artifact.manifest.counts["dropped/included_file"] == 1
    _, rows = documents(mill, recipes, "papers")
    assert [(row["locator"], row["text"]) for row in rows] == [("papers.tar.gz#one/main.tex#0", "Whole. Part.")]
    _, rows = documents(mill, recipes, "talks")
    assert [row["text"] for row in rows] == ["User: Why?\n\nAssistant: So."]
    _, rows = documents(mill, recipes, "hub")
    assert sorted(row["locator"] for row in rows) == [f"data/train-0000{n}-of-00002.parquet#0" for n in range(2)]
    sealed = mill.get("source_files", "hub.first").manifest
    assert (sealed.counts["found"], sealed.counts["files"], sealed.counts["left_out"]) == (5, 2, 3)
    assert (sealed.facts["dataset/licence"], sealed.facts["dataset/missing_shards"]) == ("odc-by", 0)
    for kind in kinds:
        _, rows = documents(mill, recipes, kind)
        assert [" ".join(row["text"].split()) for row in rows] == [WORDS.strip()], kind


def test_conservation_of_files_is_counted_from_both_ends(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    for name in ("a.jsonl", "b.jsonl", "c.txt"):
        (tmp_path / "files" / name).write_text('{"text": "x"}\n')
    (tmp_path / "files" / "link.jsonl").symlink_to("/etc/passwd")
    settings = {"path": str(tmp_path / "files"), "include": ["*.jsonl"], "reader": {"format": "jsonl"}}
    mill, recipes = mill_of(tmp_path, {"some": settings})
    artifact, _, _ = produce(mill, recipes["source_files"], "some.first")
    conserved = next(check for check in artifact.manifest.checks if check.name == "conserved")
    assert conserved.passed
    again = {"found_again": 4, "bytes": 28, "bytes_again": 28}
    assert conserved.values == {"found": 4, **again, "files": 2, "left_out": 1, "skipped/outside_root": 1}


@pytest.mark.parametrize("change", ["grows", "arrives", "goes"])
def test_a_folder_that_changes_while_it_is_sealed_is_not_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """The second look sees what came, went or grew behind the first: a blocking check, told with what to do."""
    files = tmp_path / "files"
    files.mkdir()
    for name in ("a.jsonl", "b.jsonl"):
        (files / name).write_text('{"text": "x"}\n')

    def meanwhile(root: Path, *rest: Any) -> Any:
        taken = take_inventory(root, *rest)
        if change == "grows":
            (files / "a.jsonl").write_text('{"text": "longer"}\n')
        elif change == "arrives":
            (files / "c.jsonl").write_text('{"text": "late"}\n')
        else:
            (files / "b.jsonl").unlink()
        return taken

    monkeypatch.setattr("assets.corpus.acquisition.take_inventory", meanwhile)
    mill, recipes = mill_of(tmp_path, {"some": {"path": str(files), "reader": {"format": "jsonl"}}})
    with pytest.raises(CheckFailedError, match="changed while they were sealed"):
        produce(mill, recipes["source_files"], "some.first")
    assert mill.store.latest("source_files", "some.first") is None


def crawl_of(base: str, **crawl: Any) -> dict[str, Any]:
    """A source that is a crawl of a site on loopback."""
    own = {"allow_private_hosts": ["127.0.0.1"], "host_delays": {"127.0.0.1": 0}, "retries": 0}
    return {"crawl": {"seeds": [f"{base}/"], **own, **crawl}, "reader": {"format": "warc"}}


def test_a_crawl_with_a_sitemap_that_redirects_is_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redirects of pages are in the archives, those of sitemaps are not, and the check of both tells them apart."""
    routes = {
        "/": page("/old"),
        "/old": Reply(status=301, headers={"Location": "/new"}),
        "/new": page(text=WORDS),
        "/map.xml": Reply(status=302, headers={"Location": "/map.txt"}),
        "/map.txt": lambda path: Reply(f"{site.base}/listed".encode()),
        "/listed": page(text=WORDS),
    }
    asked: list[Any] = []

    def spy(path: Path, columns: Any = None) -> pa.Table:
        asked.append(columns)
        return read_table(path, columns)

    monkeypatch.setattr(archives, "read_table", spy)
    with serve(routes) as site:
        mill, recipes = mill_of(tmp_path, {"web": crawl_of(site.base, sitemaps=[f"{site.base}/map.xml"])})
        artifact, _, _ = produce(mill, recipes["source_files"], "web.first")
    facts = artifact.manifest.facts
    outcomes = {name.removeprefix("outcome/"): count for name, count in facts.items() if name.startswith("outcome/")}
    assert outcomes == {"fetched": 3, "redirected": 1, "sitemap": 1, "sitemap:redirected": 1}
    assert asked == [["stored_in", "stored_to"]], "of the log, only what is compared is read"


def test_a_crawl_that_lost_a_record_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive shorter than its last record: a blocking check, with a remedy that is one for crawls."""

    def torn(config: Any, work: Path, **rest: Any) -> Any:
        summary = run_crawl(config, work, **rest)
        with (work / summary.files[-1]).open("r+b") as stream:
            stream.truncate(stream.seek(0, 2) - 1)
        return summary

    monkeypatch.setattr(archives, "run_crawl", torn)
    with serve({"/": page("/a", text=WORDS), "/a": page(text=WORDS)}) as site:
        mill, recipes = mill_of(tmp_path, {"web": crawl_of(site.base)})
        with pytest.raises(CheckFailedError, match=r"remove the folder work/crawl/\w+ ") as failed:
            produce(mill, recipes["source_files"], "web.first")
    (folder,) = (tmp_path / "home").rglob("work/crawl/*")
    assert f"work/crawl/{folder.name} " in str(failed.value)
    assert "come to rest" not in str(failed.value)


def test_a_remote_file_that_changed_is_refused_by_name(folder: Path, site: str, tmp_path: Path) -> None:
    settings = {"path": f"{site}/moving.csv", "reader": {"format": "csv"}}
    (folder / "site/moving.csv").write_text("text\nfirst\n")
    mill, recipes = mill_of(tmp_path, {"web": settings})
    produce(mill, recipes["source_files"], "web.first")
    (folder / "site/moving.csv").write_text("text\nsecond\n")
    with pytest.raises(RemoteChangedError, match=r"moving\.csv"):
        produce(mill, recipes["crawled_text"], "web.first")


def test_an_edit_of_a_card_recomputes_the_cards_and_nothing_of_the_corpus(folder: Path, tmp_path: Path) -> None:
    settings = {"path": str(folder / "tex"), "reader": {"format": "latex"}}
    mill, recipes = mill_of(tmp_path, {"tex": settings})
    before = {name: produce(mill, recipes[name], "tex.first")[0].digest for name in ("source_files", "crawled_text")}
    cards, _, _ = produce(mill, recipes["source_cards"], None)
    assert not cards.manifest.checks[0].passed
    full = {"licence": "cc-by-4.0", "origin": "o", "revision": "r", "collected": "2026-11-01", "terms": "t"}
    mill, recipes = mill_of(tmp_path, {"tex": {**settings, **full}})
    for name, digest in before.items():
        again, computed, _ = produce(mill, recipes[name], "tex.first")
        assert (again.digest, computed) == (digest, False)
        if name == "source_files":
            assert mill.runner.notes["card/licence"] == "CC-BY-4.0"
    edited, computed, _ = produce(mill, recipes["source_cards"], None)
    assert computed
    assert edited.manifest.checks[0].passed
    assert edited.whole("rows").to_pylist()[0]["licence"] == "CC-BY-4.0"
    assert b"CC-BY-4.0" in edited.bytes_of("report")


@pytest.mark.slow
def test_a_folder_of_a_bucket_is_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`s3://` through a server that speaks S3: pinned by entity tags, read in order, refused when an object changed."""
    pytest.importorskip("moto")
    files = pytest.importorskip("s3fs")
    with s3_server() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        bucket = files.S3FileSystem(endpoint_url=server.url, skip_instance_cache=True)
        for number in range(3):
            data = gzip.compress(f'{{"text": "{WORDS} {number}"}}\n'.encode())
            bucket.pipe_file(f"{BUCKET}/corpus/deep/{number}.jsonl.gz", data)
        bucket.pipe_file(f"{BUCKET}/corpus/notes.txt", b"not asked for")
        url = f"s3://{BUCKET}/corpus"
        storage = {"endpoint_url": server.url}
        settings = {"path": url, "storage": storage, "include": ["**/*.gz"], "reader": {"format": "jsonl"}}
        mill, recipes = mill_of(tmp_path, {"bucket": settings})
        _, rows = documents(mill, recipes, "bucket")
        assert sorted(row["locator"] for row in rows) == [f"deep/{number}.jsonl.gz#0" for number in range(3)]
        sealed = mill.get("source_files", "bucket.first")
        assert all(row["digest"].startswith("etag:") for row in sealed.table(sealed.parts[0], "files").to_pylist())
        counts = sealed.manifest.counts
        assert (counts["found"], counts["found_again"], counts["files"], counts["left_out"]) == (4, 4, 3, 1)
        mill, recipes = mill_of(tmp_path / "other", {"bucket": settings})
        produce(mill, recipes["source_files"], "bucket.first")
        bucket.pipe_file(f"{BUCKET}/corpus/deep/1.jsonl.gz", gzip.compress(b'{"text": "another"}\n'))
        with pytest.raises(RemoteChangedError, match=r"deep/1\.jsonl\.gz"):
            produce(mill, recipes["crawled_text"], "bucket.first")
