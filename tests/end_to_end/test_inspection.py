"""What is said about documents without running anything, against what a run decides and what the store holds."""

import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
import yaml

from assets.differences import compare
from assets.whatif import Answer, what_if
from pipelines.core.errors import RefusedRequestError, UnknownNameError
from pipelines.corpus.filters.edits import BadEditError
from pipelines.evaluation.reports.batch import batch_report_html
from pipelines.evaluation.reports.corpus import corpus_report_html
from pipelines.evaluation.reports.corpus_data import batch_report_of, corpus_report_of
from pipelines.evaluation.reports.document import story_of
from resources.mill import Mill
from tests.end_to_end.conftest import FinishedRun, gristmill

FILTERS = {
    "manual": {"presets": ["gopher"], "rules": {"gopher_min_letter_words": 0.4}, "flagged": ["gopher_min_stop_words"]},
    "code": {"extra": [{"name": "long_enough", "signal": "n_plain_words", "op": ">=", "value": 250}]},
}
EDITS = [
    "gopher_min_words=300",
    "manual:gopher_max_bullet_lines=disabled",
    "manual:gopher_min_stop_words=drop",
    "long_enough=700",
    "news:n_characters>=2000",
    "news:letter_word_share>=0.66",
]
EDITED = {
    "manual": {
        "presets": ["gopher"],
        "rules": {"gopher_min_letter_words": 0.4, "gopher_min_words": 300},
        "disabled": ["gopher_max_bullet_lines"],
    },
    "code": {"extra": [{"name": "long_enough", "signal": "n_plain_words", "op": ">=", "value": 700}]},
    "news": {
        "extra": [
            {"name": "a", "signal": "n_characters", "op": ">=", "value": 2000},
            {"name": "b", "signal": "letter_word_share", "op": ">=", "value": 0.66},
        ]
    },
}
"""What the edits mean, written by hand as a project file says it."""


def write_filters(project: Path, filters: dict[str, Any]) -> None:
    settings = yaml.safe_load(project.read_text())
    for name, source in settings["corpus"]["sources"].items():
        source.pop("filter", None)
        if name in filters:
            source["filter"] = filters[name]
    project.write_text(yaml.safe_dump(settings, sort_keys=False))


def kept_ids(mill: Mill) -> dict[str, set[bytes]]:
    """Ids of the filtered documents by batch."""
    return {
        key: {
            identity
            for _, table in mill.get("filtered_documents", key).tables("documents", ["id"])
            for identity in table["id"].to_pylist()
        }
        for key in mill.sealed()
    }


@pytest.fixture(scope="module")
def own(small_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """The small project in a home of its own, its corpus made anew by rules that drop something."""
    folder = tmp_path_factory.mktemp("inspected")
    shutil.copytree(small_run.home, folder / "home")
    shutil.copytree(small_run.project.parent, folder / "project")
    run = FinishedRun(folder, folder / "project" / small_run.project.name, folder / "home")
    write_filters(run.project, FILTERS)
    done = run.gristmill("run", "--select", "*batch_report")
    assert done.returncode == 0, done.stderr
    return run


def asked(run: FinishedRun, edits: list[str]) -> tuple[Answer, set[bytes]]:
    """The answer, and the ids that would be kept."""
    kept: set[bytes] = set()

    def collect(source: str, sides: Any) -> None:
        kept.update(sides.filter(sides["kept_then"])["id"].to_pylist())

    return what_if(run.mill, edits, collect=collect), kept


def test_what_if_is_what_a_run_with_the_edited_file_decides(own: FinishedRun) -> None:
    """Counts by source, ids of the kept, and the tokens that the arrays count."""
    before = kept_ids(own.mill)
    answer, kept = asked(own, EDITS)
    assert answer.left_out == [] and answer.edited_since == []
    assert answer.batches == len(before)
    settings = own.project.read_text()
    write_filters(own.project, EDITED)
    try:
        done = own.gristmill("run", "--select", 'key:"filtered_documents"')
        assert done.returncode == 0, done.stderr
        after = kept_ids(own.mill)
    finally:
        own.project.write_text(settings)
        assert own.gristmill("run", "--select", 'key:"filtered_documents"').returncode == 0
    assert kept == set().union(*after.values())
    assert kept != set().union(*before.values()), "the edits change something, or this proves nothing"
    counts = {name: (now, then) for name, now, then, *_ in answer.result.totals("source")}
    for source in ("manual", "code", "news"):
        mine = [key for key in before if key.startswith(f"{source}.")]
        assert counts[source] == tuple(sum(len(side[key]) for key in mine) for side in (before, after))
    lengths: dict[bytes, int] = {}
    for key in before:
        arrays = own.mill.get("bpe/token_arrays", key)
        for role in ("train_index", "heldout_index"):
            for _, table in arrays.tables(role, ["id", "length"]):
                lengths |= dict(zip(table["id"].to_pylist(), table["length"].to_pylist(), strict=True))
    *_, total = answer.result.totals("source")
    assert total[4] is not None
    counted = sum(lengths[identity] for identity in kept if identity in lengths)
    uncounted = [identity for identity in kept if identity not in lengths]
    assert counted <= total[4] and (total[4] == pytest.approx(counted) or uncounted)


def test_what_if_of_nothing_new_changes_nothing_and_writes_nothing(own: FinishedRun) -> None:
    files = {path: path.stat().st_mtime_ns for path in (own.home / "store").rglob("*") if path.is_file()}
    said = own.gristmill("what-if", "long_enough=250", "--list", str(own.folder / "moved.tsv")).stdout
    assert "what the project file says already" in said and "0 documents would be dropped" in said
    assert (own.folder / "moved.tsv").read_text() == "id\tsource\tside\n"
    after = {path: path.stat().st_mtime_ns for path in (own.home / "store").rglob("*") if path.is_file()}
    assert {path for path in after if after[path] != files.get(path) and "locks" not in path.parts} == set()


def test_what_if_tells_samples_notes_and_near_names(own: FinishedRun) -> None:
    said = own.gristmill("what-if", "code:long_enough=100000", "--samples", "2")
    assert said.returncode == 0, said.stderr
    moved = r"code: first by long_enough\n  [0-9a-f]{32}  code  n_plain_words = [\d,]+, threshold then 100,000"
    assert re.search(moved, said.stdout)
    for part in ("is not claimed", "Tokens of bpe", "language", "nothing was computed"):
        assert part in said.stdout
    wrong = own.gristmill("what-if", "long_enuf=3")
    assert wrong.returncode == 2 and "did you mean 'long_enough'?" in wrong.stderr
    with pytest.raises(UnknownNameError, match="did you mean 'bpe'"):
        what_if(own.mill, ["long_enough=3"], tokenizer="bpx")
    with pytest.raises(BadEditError, match="did you mean 'manual'"):
        what_if(own.mill, ["manul:gopher_min_words=3"])


def test_what_if_after_an_edit_of_the_file_says_so(own: FinishedRun, tmp_path: Path) -> None:
    shutil.copytree(own.project.parent, tmp_path / "project")
    edited = tmp_path / "project" / own.project.name
    write_filters(edited, FILTERS | {"code": EDITED["code"]})
    said = gristmill(own.home, edited, "what-if", "gopher_min_words=300").stdout
    assert "Edited since its last run" in said and "code.first" in said


def rows(mill: Mill, asset: str, key: str) -> dict[bytes, bytes]:
    """Id -> text hash."""
    found: dict[bytes, bytes] = {}
    for _, table in mill.get(asset, key).tables("documents", ["id", "text_hash"]):
        found |= dict(zip(table["id"].to_pylist(), table["text_hash"].to_pylist(), strict=True))
    return found


def test_diff_of_two_stages_is_what_was_dropped_and_edited_between_them(own: FinishedRun) -> None:
    mill = own.mill
    found = compare(mill, "crawled_text", "filtered_documents")
    expected: Counter[tuple[str, str]] = Counter()
    for key in mill.sealed():
        for _, table in mill.get("filtered_documents", key).tables("decisions", ["reason"]):
            expected.update((key.partition(".")[0], reason) for reason in table["reason"].to_pylist() if reason)
    assert expected, "the rules drop something, or this proves nothing"
    removed = {(source, reason): n for kind, source, _, reason, n, *_ in found.cells if kind == "removed"}
    assert removed == dict(expected)
    assert {cell[0] for cell in found.cells} == {"removed"}
    assert {cell[2] for cell in found.cells} == {"filtered_documents"}

    edited = compare(mill, "deduplicated_documents", "clean_documents")
    changed = sum(
        rows(mill, "clean_documents", key).get(identity, digest) != digest
        for key in mill.sealed()
        for identity, digest in rows(mill, "deduplicated_documents", key).items()
    )
    assert sum(cell[4] for cell in edited.cells if cell[0] == "changed") == changed


def test_diff_of_two_versions_and_of_two_snapshots(own: FinishedRun) -> None:
    """The first version kept everything; the newest dropped some; back again they are added."""
    mill = own.mill
    versions = len(mill.store.references("filtered_documents", "code.first"))
    assert versions > 1
    there = compare(mill, "filtered_documents:code.first@1", "filtered_documents:code.first")
    back = compare(mill, "filtered_documents:code.first", "filtered_documents:code.first@1")
    gone = {cell[3]: cell[4] for cell in there.cells}
    assert gone == {"long_enough": sum(gone.values())} and sum(gone.values()) > 0
    added = {(kind, reason): n for kind, _, _, reason, n, *_ in back.cells}
    assert added == {("added", "long_enough"): gone["long_enough"]}
    assert sum(cell[5] for cell in there.cells) == pytest.approx(sum(cell[6] for cell in back.cells))

    count = len(mill.store.references("corpus_snapshot", None))
    assert count == 2, "before and after the late batch"
    arrived = compare(mill, "corpus_snapshot@1", "corpus_snapshot@2")
    late = len(rows(mill, "clean_documents", "news.late"))
    added = {(kind, source): n for kind, source, _, _, n, *_ in arrived.cells}
    assert added == {("added", "news"): late}
    assert "news.late" in arrived.cells[0][3]
    same = compare(mill, "corpus_snapshot", "corpus_snapshot@2")
    assert same.cells == [] and same.same.documents > late


def test_a_text_that_comes_with_another_batch_has_moved(own: FinishedRun) -> None:
    """Two batches of one source have no text in common; a batch compared with itself has nothing else."""
    apart = compare(own.mill, "crawled_text:manual.one", "crawled_text:manual.two")
    kinds = Counter()
    for cell in apart.cells:
        kinds[cell[0]] += cell[4]
    one, two = (Counter(rows(own.mill, "crawled_text", f"manual.{name}").values()) for name in ("one", "two"))
    assert kinds["moved"] == sum((one & two).values())
    assert kinds["removed"] == sum((one - two).values()) and kinds["added"] == sum((two - one).values())


@pytest.mark.parametrize(
    ("first", "error", "said"),
    [
        ("filtered_document", UnknownNameError, "did you mean 'filtered_documents'?"),
        ("filtered_documents:manual.on", UnknownNameError, "did you mean 'manual.one'?"),
        ("filtered_documents:manual.one@99", UnknownNameError, "versions, filtered_documents:manual.one@1 to"),
        ("filtered_documents@1", RefusedRequestError, "versions are counted by key"),
        ("corpus_snapshot:manual.one", RefusedRequestError, "has no keys"),
        ("../../etc:passwd", RefusedRequestError, "is no reference"),
    ],
)
def test_a_reference_that_is_none_is_told(own: FinishedRun, first: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error) as found:
        compare(own.mill, first, "crawled_text")
    assert said in str(found.value)


def test_diff_prints_counts_reasons_and_samples(own: FinishedRun) -> None:
    said = own.gristmill("diff", "crawled_text:code.first", "filtered_documents").stdout
    assert re.search(r"unchanged \d+, added 0, removed \d+, changed 0, moved 0", said)
    assert "filtered_documents: long_enough" in said
    assert re.search(r"\n    [0-9a-f]{32}  filtered_documents: long_enough", said)


def dropped_document(mill: Mill) -> tuple[str, str]:
    """(id, url) of a document that the rules of `manual` drop."""
    for key in ("manual.one", "manual.two"):
        for _, table in mill.get("filtered_documents", key).tables("decisions"):
            for identity in table.filter(pc.invert(table["kept"]))["id"].to_pylist():
                for _, documents in mill.get("crawled_text", key).tables("documents", ["id", "url"]):
                    for row in documents.to_pylist():
                        if row["id"] == identity:
                            return identity.hex(), row["url"]
    raise AssertionError("nothing was dropped")


def test_a_dropped_document_is_explained_as_text_as_data_and_as_a_page(own: FinishedRun) -> None:
    identity, url = dropped_document(own.mill)
    said = own.gristmill("explain", url).stdout
    assert f"document {identity}" in said and "filter     dropped: gopher_" in said
    assert re.search(r"\n    FAIL  gopher_", said) and "\n    pass  gopher_" in said
    assert said.count("must be") == len(own.mill.project.source_of("manual.one").filter.resolved())
    assert own.gristmill("explain", identity[:20].upper()).stdout == said
    story = story_of(own.gristmill("explain", identity, "--json").stdout)
    assert story.id == identity and len(story.verdicts) == said.count("must be")
    page = own.gristmill("explain", identity, "--html").stdout.strip()
    html = Path(page.removeprefix("file://")).read_text()
    assert html.startswith("<!DOCTYPE html>") and url in html
    assert all(item.rule in html and item.signal in html for item in story.verdicts)


def test_a_document_that_is_not_there_gives_the_nearest(own: FinishedRun) -> None:
    identity, url = dropped_document(own.mill)
    other = identity[:-1] + ("0" if identity[-1] != "0" else "1")
    assert f"did you mean {identity}?" in own.gristmill("explain", other).stderr
    assert f"did you mean {url}?" in own.gristmill("explain", url[:-1] + "~").stderr
    assert "the host docs.example?" in own.gristmill("explain", "https://docs.exampel/x").stderr
    several = own.gristmill("explain", identity[:9])
    assert "ids begin with" in several.stderr or several.returncode == 0


def test_each_batch_and_the_corpus_have_a_report_that_is_drawn_again_from_its_data(small_run: FinishedRun) -> None:
    mill = small_run.mill
    for key in mill.sealed():
        artifact = mill.get("batch_report", key)
        report = batch_report_of(artifact.bytes_of("data"))
        assert artifact.bytes_of("report").decode() == batch_report_html(report)
        crawled = mill.get("crawled_text", key).manifest.counts
        assert report.funnel[0].kept == crawled["kept"] == sum(row.documents for row in report.languages)
        assert report.funnel[-1].kept == mill.get("bpe/token_arrays", key).manifest.counts["train/documents"]
        assert all(group.population >= len(group.documents) > 0 for group in report.samples)
        page = small_run.home / "reports" / f"batch_report_{key}.html"
        assert page.read_bytes() == artifact.bytes_of("report")
    previous = {key: batch_report_of(mill.get("batch_report", key).bytes_of("data")).previous for key in mill.sealed()}
    assert previous == {"manual.one": None, "manual.two": "manual.one", "code.first": None, "news.late": None}
    artifact = mill.get("corpus_report")
    corpus = corpus_report_of(artifact.bytes_of("data"))
    assert artifact.bytes_of("report").decode() == corpus_report_html(corpus)
    assert corpus.funnel[-1].kept == sum(row.trained for row in corpus.batches)
    tokens = sum(mill.get("bpe/token_arrays", key).manifest.counts["train/tokens"] for key in mill.sealed())
    assert sum(row.tokens for row in corpus.sources) == tokens == mill.get("corpus_snapshot").manifest.facts["tokens"]


def test_the_report_of_a_batch_names_what_its_rules_drop(own: FinishedRun) -> None:
    report = batch_report_of(own.mill.get("batch_report", "code.first").bytes_of("data"))
    decisions = own.mill.get("filtered_documents", "code.first")
    dropped = [row for _, table in decisions.tables("decisions") for row in table.to_pylist() if not row["kept"]]
    (rule,) = report.rules
    assert dropped
    assert (rule.rule, rule.failed, rule.first, rule.alone) == ("long_enough", *[len(dropped)] * 3)
    group = next(group for group in report.samples if group.rule == "long_enough")
    assert group.population == len(dropped)
    assert {item.id for item in group.documents} <= {row["id"].hex() for row in dropped}
    for item in group.documents:
        assert [verdict.verdict for verdict in item.verdicts] == ["FAIL"]
        assert f'id="d{item.id}"' in own.mill.get("batch_report", "code.first").bytes_of("report").decode()


def test_an_edit_of_one_source_makes_its_reports_stale_alone(own: FinishedRun, tmp_path: Path) -> None:
    shutil.copytree(own.project.parent, tmp_path / "project")
    edited = tmp_path / "project" / own.project.name
    write_filters(edited, FILTERS | {"code": EDITED["code"]})
    said = gristmill(own.home, edited, "plan").stdout
    assert re.search(r"batch_report code\.first", said)
    assert not re.search(r"batch_report manual", said)
    # The chain of deduplication leads from the batch to later ones: theirs follow only if rows change.
    assert re.findall(r"(?m)^(.+?) +batch_report news", said) == ["if rows change"]
