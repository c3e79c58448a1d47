"""A source that selects from Common Crawl, through the command line: estimate, archives, selection, documents."""

from pathlib import Path

import yaml

from resources.home import find_home
from resources.mill import Mill, open_mill
from tests.end_to_end.conftest import gristmill
from tests.end_to_end.small_project import environment
from tests.pipelines.corpus.acquisition.commoncrawl.mirror import CRAWL, Mirror, running
from tests.shared_data import shared


def write(folder: Path, base: str) -> Path:
    selection = {
        "crawls": [CRAWL],
        "domains": ["iana.org"],
        "mime": [],
        "index_url": base,
        "data_url": base,
        "requests_per_second": 100.0,
        "backoff_seconds": 0.01,
        "retries": 1,
    }
    changes = {"few": {"max_records": 3}, "table": {"index": "columnar", "domains": ["wikipedia.org"]}}
    source = {
        "domain": "web",
        "licence": "LicenseRef-CommonCrawl",
        "commoncrawl": selection,
        "reader": {"format": "warc"},
        "batches": {name: {"commoncrawl": changed} for name, changed in changes.items()},
    }
    path = folder / "project.yaml"
    path.write_text(yaml.safe_dump({"project": "selected", "corpus": {"sources": {"web": source}}}))
    return path


def opened(home: Path, project: Path) -> Mill:
    return open_mill(find_home(environment(home, project)))


def test_a_selection_becomes_documents_and_is_kept(tmp_path: Path) -> None:
    names = ("warc/pywb/iana.warc.gz", "warc/commoncrawl-whirlwind/whirlwind.warc.gz")
    home = tmp_path / "home"
    with running(Mirror([shared(name) for name in names])) as server:
        project = write(tmp_path, server.base)
        server.fault = lambda ask: "503" if "/segments/" in ask.path else None
        away = gristmill(home, project, "run", "--select", "source_files", "--partition", "web.few")
        assert away.returncode != 0 and "answered 503" in away.stderr and "Traceback" not in away.stderr
        server.fault = lambda ask: None
        asked = len(server.asked)
        done = gristmill(home, project, "run", "--select", "*crawled_text")
        assert done.returncode == 0, done.stderr
        looked_up = [path for path, _ in server.asked if "url=iana.org" in path]
        assert looked_up and not [path for path, _ in server.asked[asked:] if path in looked_up]
    assert "fetching web.few: 0/3" in done.stderr and "requests of at least" in done.stderr

    mill = opened(home, project)
    files = mill.store.latest("source_files", "web.few")
    assert files is not None
    (part,) = files.parts
    rows = files.table(part, "selection").to_pylist()
    assert [row["outcome"] for row in rows] == ["fetched"] * 3
    assert {check.name: check.passed for check in files.manifest.checks} == {"not_empty": True, "conserved": True}
    assert part.counts["urls"] == 3 and files.manifest.facts["estimate/records"] == 3

    documents = mill.store.latest("crawled_text", "web.table")
    assert documents is not None
    (page,) = [
        row for _, table in documents.tables("documents", ["url", "locator", "text"]) for row in table.to_pylist()
    ]
    assert page["url"] == "https://an.wikipedia.org/wiki/Escopete" and "Escopete" in page["text"]
    assert page["locator"].startswith("commoncrawl-00000.warc.gz#")
    assert "0 errors" in gristmill(home, project, "verify").stdout
