"""Decisions through whole runs: engagement of two kinds of sources, another threshold, a topic model that comes late.

What was computed is read from Dagster's event log (`computed` 1 is work, 0 a re-emitted artifact) and from the memo of
parts, which gets a file for each call of a part function.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import quoteattr

import dagster as dg
import pytest
import yaml

from pipelines.core.artifacts import Artifact
from resources.home import find_home
from resources.mill import Mill, open_mill
from tests.end_to_end.conftest import gristmill
from tests.end_to_end.small_project import environment, topics

pytestmark = pytest.mark.slow
"""Four whole runs in processes of their own: `make test-slow`."""

SCORES = range(-1, 23)
SHOP = "Buy a bicycle helmet in our shop today, shipping is free and the price is low."
"""What a topic classifier tells pages from answers by."""
SIGNAL_ROLES = {"statistics", "surface", "keywords", "metadata", "language", "topics"}


class Event(NamedTuple):
    """A materialization of Dagster's event log."""

    asset: str
    key: str | None
    computed: bool


class Home(NamedTuple):
    """A project in a folder of its own."""

    folder: Path

    @property
    def project(self) -> Path:
        return self.folder / "project.yaml"

    @property
    def mill(self) -> Mill:
        return open_mill(find_home(environment(self.folder / "home", self.project)))

    def run(self, *, succeeds: bool = True) -> str:
        done = gristmill(self.folder / "home", self.project, "run")
        assert (done.returncode == 0) == succeeds, done.stderr + done.stdout
        open_mill.cache_clear()
        return done.stdout + done.stderr

    def edit(self, change: Any) -> None:
        """Change the project file by a function of its content."""
        settings = yaml.safe_load(self.project.read_text())
        change(settings)
        self.project.write_text(yaml.safe_dump(settings, sort_keys=False))

    def events(self) -> list[Event]:
        """Oldest first."""
        with dg.DagsterInstance.from_config(str(self.folder / "home" / "dagster")) as instance:
            records = [
                record
                for key in instance.all_asset_keys()
                for record in instance.fetch_materializations(key, limit=1000).records
            ]
        found = []
        for record in sorted(records, key=lambda item: item.storage_id):
            event = record.asset_materialization
            assert event is not None
            found.append(Event("/".join(event.asset_key.path), event.partition, event.metadata["computed"].value == 1))
        return found

    def memos(self) -> dict[Path, tuple[int, set[str]]]:
        """Every remembered part: when it was written, and the roles that it has files for."""
        files = (self.folder / "home" / "store" / "memo" / "parts").rglob("*.json")
        return {path: (path.stat().st_mtime_ns, set(json.loads(path.read_text())["files"])) for path in files}


def write(folder: Path) -> Home:
    """Threads of a question-and-answer site with their scores, and pages with their likes."""
    texts = topics()
    (folder / "posts").mkdir(parents=True)
    rows = [
        f'<row Id="{number}" PostTypeId="1" Score="{score}" Title={quoteattr(title)} Body={quoteattr(text[:1500])} />'
        for number, (score, (title, text)) in enumerate(zip(SCORES, texts, strict=False), start=1)
    ]
    (folder / "posts" / "Posts.xml").write_text("<posts>\n" + "\n".join(rows) + "\n</posts>", "utf-8")
    (folder / "pages").mkdir()
    pages = [
        {"text": f"{SHOP} {text[:900]} {SHOP}", "stats": {"likes": f"{number}k" if number % 2 else number}}
        for number, (_, text) in enumerate(texts[30:50])
    ]
    (folder / "pages" / "pages.jsonl").write_text("".join(json.dumps(page) + "\n" for page in pages), "utf-8")
    source = {"licence": "PSF-2.0", "language": "en"}
    project = {
        "project": "deciding",
        "corpus": {
            "sources": {
                "posts": {
                    **source,
                    "domain": "answers",
                    "path": "posts",
                    "reader": {"format": "stackexchange"},
                    "metadata": {"columns": {"score": {}}},
                    "filter": {"extra": [{"name": "liked", "signal": "meta_score >= 3"}]},
                },
                "pages": {
                    **source,
                    "domain": "pages",
                    "path": "pages",
                    "reader": {"format": "jsonl", "meta_fields": ["stats"]},
                    "metadata": {"columns": {"likes": {"field": "stats.likes"}}},
                    "filter": {"extra": [{"name": "read", "signal": "meta_likes", "op": ">=", "value": 6}]},
                },
            },
            "signals": {"language": None},
            "splits": {"max_documents": 2, "max_characters": 4000, "max_share": 0.2},
        },
        "tokenizers": {"bpe": {"batches": ["posts.first"], "model": {"kind": "trained", "vocab_size": 400}}},
    }
    home = Home(folder)
    home.project.write_text(yaml.safe_dump(project, sort_keys=False))
    return home


def column(artifact: Artifact, role: str, name: str) -> list[Any]:
    return artifact.whole(role, [name])[name].to_pylist()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = write(tmp_path_factory.mktemp("deciding"))
    home.run()
    return home


def test_engagement_decides_end_to_end(first: Home) -> None:
    mill = first.mill
    scores = column(mill.get("quality_signals", "posts.first"), "metadata", "meta_score")
    assert sorted(scores) == [float(score) for score in SCORES]
    judged = mill.get("filtered_documents", "posts.first")
    assert column(judged, "decisions", "kept") == [score >= 3 for score in scores]
    assert judged.manifest.counts["dropped/liked"] == 4  # -1, 0, 1, 2
    kept = [json.loads(meta)["score"] for meta in column(judged, "documents", "meta")]
    assert sorted(kept) == list(range(3, 23))

    likes = column(mill.get("quality_signals", "pages.first"), "metadata", "meta_likes")
    assert sorted(likes) == sorted(float(number * 1000 if number % 2 else number) for number in range(20))
    decided = column(mill.get("filtered_documents", "pages.first"), "decisions", "reason")
    assert [reason is None for reason in decided] == [value >= 6 for value in likes]
    assert decided.count("read") == 3  # 0, 2, 4

    dropped = column(judged, "decisions", "id")[scores.index(2.0)].hex()
    told = gristmill(first.folder / "home", first.project, "explain", dropped)
    assert told.returncode == 0 and "meta_score >= 3" in told.stdout and "dropped" in told.stdout


def test_another_threshold_and_another_rule_recompute_no_signal(first: Home) -> None:
    signals = {key: first.mill.store.references("quality_signals", key) for key in first.mill.sealed()}
    events, memos = len(first.events()), first.memos()
    assert SIGNAL_ROLES & set().union(*(roles for _, roles in memos.values())) == {
        "statistics", "surface", "keywords", "metadata",
    }  # fmt: skip

    def stricter(settings: dict[str, Any]) -> None:
        settings["corpus"]["sources"]["posts"]["filter"]["extra"] = [
            {"name": "liked", "signal": "meta_score >= 5"},
            {"name": "long", "signal": "n_words", "op": ">=", "value": 100},
        ]

    first.edit(stricter)
    first.run()
    mill = first.mill
    kept = [
        json.loads(meta)["score"] for meta in column(mill.get("filtered_documents", "posts.first"), "documents", "meta")
    ]
    assert min(kept) == 5

    assert {key: mill.store.references("quality_signals", key) for key in mill.sealed()} == signals
    computed = {(event.asset, event.key) for event in first.events()[events:] if event.computed}
    assert ("filtered_documents", "posts.first") in computed
    # The other batch is matched against fewer earlier documents; what comes before that is as it was.
    before = {"source_files", "crawled_text", "quality_signals"}
    assert not {(asset, key) for asset, key in computed if asset in before}
    assert ("filtered_documents", "pages.first") not in computed
    written = {path: item for path, item in first.memos().items() if memos.get(path) != item}
    assert written and not SIGNAL_ROLES & set().union(*(roles for _, roles in written.values()))


def test_topics_that_come_after_the_tokens_have_shares_and_ratios(first: Home) -> None:
    arrays = {key: first.mill.get("bpe/token_arrays", key).digest for key in first.mill.sealed()}
    examples = [{"batches": ["posts.first"], "label": "answers"}, {"batches": ["pages.first"], "label": "pages"}]

    def ratios(limit: float) -> Any:
        def change(settings: dict[str, Any]) -> None:
            subjects = {"kind": "topics", "dimension": 8, "epochs": 50, "examples": examples}
            settings["corpus"]["models"] = {"classifiers": {"subjects": subjects}}
            rules = [{"topic": ["answers", "pages"], "max_share": limit, "blocking": True}]
            settings["reports"] = {
                "ratios": [*rules, {"topic": "pages", "domain": "pages", "min_share": 1.0, "by": "bytes"}]
            }

        return change

    before = first.mill.get("corpus_report").digest
    first.edit(ratios(0.5))
    said = first.run(succeeds=False)
    assert "topic answers, pages: 100.00% of the tokens, declared 0 to 0.5" in " ".join(said.split())
    assert first.mill.get("corpus_report").digest == before, "a broken ratio that blocks publishes nothing"

    first.edit(ratios(1.0))
    first.run()
    mill = first.mill
    assert {key: mill.get("bpe/token_arrays", key).digest for key in mill.sealed()} == arrays
    report = mill.get("corpus_report")
    shares = [row for row in report.whole("shares").to_pylist() if row["signal"] == "topic"]
    counts = {key: mill.get("bpe/token_arrays", key).manifest.counts for key in mill.sealed()}
    for source, domain in (("posts", "answers"), ("pages", "pages")):
        mine = [row for row in shares if (row["source"], row["domain"]) == (source, domain)]
        for unit in ("documents", "bytes", "tokens"):
            assert sum(row[unit] for row in mine) == counts[f"{source}.first"][f"train/{unit}"]
        assert {row["model"] for row in mine} == {"subjects"}
    checks = {check.name: check for check in report.manifest.checks}
    assert checks["required_ratios"].passed and checks["required_ratios"].blocking and not checks["ratios"].blocking
    batch = [
        row for row in mill.get("batch_report", "posts.first").whole("shares").to_pylist() if row["signal"] == "topic"
    ]
    assert batch == [row for row in shares if row["source"] == "posts"]
    assert "Topics" in report.bytes_of("report").decode()
