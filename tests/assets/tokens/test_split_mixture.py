"""A mixture split by topics, as assets: labels without retokenizing, relabelling, batches without labels, takedowns."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaml

from assets.automation.arrivals import seal_arrivals
from assets.control import run_control
from assets.evaluation.splits import group_shares, plain, split_rows, trained_groups
from assets.graph import all_recipes, build_graph
from assets.model.checkpoint import _batches
from assets.model.lineage import plan_of
from assets.model.plans import build_plan
from assets.planning import stale_steps
from assets.recipe import produce
from assets.tokens.labels import split_inputs
from assets.tokens.mixture import mixture_of
from assets.tracing import open_trace, trace_document, trace_step
from pipelines.core.artifacts import Artifact
from pipelines.model.plans.plan import Plan
from resources.home import find_home
from resources.mill import Mill, open_mill
from resources.train_process import open_batches
from resources.trainer import TrainingJob
from tests.end_to_end.small_project import arrive, write_project

CORPUS = (
    "quality_signals", "filtered_documents", "duplicate_signatures", "duplicate_matches", "deduplicated_documents",
    "sensitive_spans", "contamination", "clean_documents", "bpe/token_arrays",
)  # fmt: skip
SPLIT = {"split": {"manual": "topic", "news": "topic"}, "method": "temperature", "temperature": 2.0}


class Document(NamedTuple):
    """A training document found by a scan of the arrays, with its label by a look into the signals."""

    source: str
    label: str
    tokens: list[int]


def open_project(folder: Path) -> Mill:
    home = {"GRISTMILL_HOME": str(folder / "home"), "GRISTMILL_PROJECT": str(folder / "project.yaml")}
    open_mill.cache_clear()
    return open_mill(find_home({**os.environ, **home, "GRISTMILL_WORKERS": "1"}))


def make(mill: Mill, asset: str, key: str | None = None) -> Artifact:
    return produce(mill, all_recipes(mill.project)[asset], key)[0]


def edited(folder: Path, topics: dict[str, str], mixture: dict[str, Any], removed: list[str] | None = None) -> Mill:
    """The small project with one classifier for each name in `topics`, and the lane `tiny` mixed as told."""
    path = folder / "project.yaml"
    project = yaml.safe_load(path.read_text())
    examples = [
        {"path": "examples.jsonl", "label_field": "label", "labels": {"a": f"{label}_a", "b": f"{label}_b"}}
        for label in topics.values()
    ]
    small = {"dimension": 8, "buckets": 2000, "max_characters": 400, "epochs": 20}
    project["corpus"]["models"] = {
        "classifiers": {
            name: {"kind": "topics", "examples": [item], **small} for name, item in zip(topics, examples, strict=True)
        }
    }
    project["corpus"] |= {"removals": "removals.jsonl"}
    lines = [json.dumps({"kind": "id", "value": value}) + "\n" for value in removed or []]
    (folder / "removals.jsonl").write_text("".join(lines))
    lane = project["lanes"]["tiny"]
    for stage in ("base", "rounds"):
        lane[stage]["mixture"] = {"max_epochs": 100, "seed": 1, **mixture}
    lane["rounds"]["mixture"]["replay"] = 0.5
    project["lanes"]["plain"] = json.loads(json.dumps(lane))
    for stage in ("base", "rounds"):
        project["lanes"]["plain"][stage]["mixture"].pop("split", None)
    path.write_text(json.dumps(project, indent=1))  # JSON is YAML
    return open_project(folder)


def corpus(mill: Mill, keys: list[str]) -> None:
    """Every batch up to its arrays, and the snapshot."""
    for name in mill.project.corpus.models.assets():
        make(mill, name)
    for asset in ("evaluation_sets", "removal_requests"):
        make(mill, asset)
    for asset in CORPUS:
        for key in keys:
            if asset == "bpe/token_arrays":
                make(mill, "bpe/tokenizer")
            make(mill, asset, key)
    make(mill, "corpus_snapshot")


class Told(NamedTuple):
    """The project's folder, and the mixtures' evidence at each moment of its life."""

    folder: Path
    weights: dict[str, Artifact]
    plans: dict[str, Plan]
    plain: dict[str, str]
    arrays: dict[str, set[str]]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Without topics; split before there are signals; with topics; with other topics."""
    folder = tmp_path_factory.mktemp("split")
    write_project(folder, steps=10, round_steps=6)
    rows = [json.dumps({"text": f"{word} {n} {word}", "label": label}) for n in range(30)
            for label, word in (("a", "class method object"), ("b", "statement assert expression"))]  # fmt: skip
    (folder / "examples.jsonl").write_text("\n".join(rows) + "\n")
    told = Told(folder, {}, {}, {}, {})

    def note(moment: str, mill: Mill) -> None:
        told.weights[moment] = make(mill, "tiny/mixture_weights")
        told.plain[moment] = make(mill, "plain/mixture_weights").content
        told.arrays[moment] = {mill.get("bpe/token_arrays", key).content for key in mill.sealed()}
        stage = mill.project.lanes["tiny"].first_stage
        inputs = {"snapshot": mill.get("corpus_snapshot"), "weights": told.weights[moment]}
        inputs |= split_inputs(mill, "tiny", stage)
        told.plans[moment] = build_plan(mill, "tiny", "base", stage, inputs, None)

    mill = edited(folder, {}, {"method": "temperature", "temperature": 2.0})
    seal_arrivals(mill)
    keys = list(mill.sealed())
    for asset in ("source_files", "crawled_text"):
        for key in keys:
            make(mill, asset, key)
    corpus(mill, keys)
    note("plain", mill)
    mill = edited(folder, {"subjects": "of"}, SPLIT)
    note("unlabelled", mill)
    corpus(mill, keys)
    note("split", mill)
    for asset in ("base_plan", "base_mixture"):
        make(mill, f"tiny/{asset}")
    mill = edited(folder, {"themes": "other", "subjects": "of"}, SPLIT)
    corpus(mill, keys)
    note("relabelled", mill)
    return told


def documents(mill: Mill, plan: Plan) -> dict[bytes, Document]:
    """Every training document of a plan, by a scan of arrays and of the signals that it names."""
    pins = {item.partition: item.manifest for item in plan.labels}
    found = {}
    for part in plan.parts:
        arrays = mill.store.open(part.manifest)
        stored = next(item for item in arrays.parts if item.name == part.part)
        flat = np.fromfile(arrays.path(stored, "train"), "<u2")
        labels: dict[bytes, str] = {}
        if pins.get(part.partition):
            signals = mill.store.open(pins[part.partition] or "")
            mine = next(item for item in signals.parts if item.name == part.part)
            rows = signals.table(mine, "topics").to_pylist()
            labels = {row["id"]: row["topic"] or "none" for row in rows}
        for row in arrays.table(stored, "train_index").to_pylist():
            tokens = flat[row["start"] : row["start"] + row["length"]].tolist()
            found[row["id"]] = Document(part.source, labels.get(row["id"], "none"), tokens)
    return found


def batches(mill: Mill, plan: Plan, mixture: Artifact) -> Iterator[np.ndarray]:
    """Every step as the trainer's own process reads it, [rows, T + 1]."""
    read = open_batches(
        TrainingJob(
            training_identity="read",
            architecture=plan.architecture,
            train=plan.train,
            batches=_batches(mill, plan, mixture, Path()),
        )
    )
    for step in range(plan.train.total_steps):
        inputs, targets = read(step)
        yield np.concatenate([inputs, targets[:, -1:]], axis=1)


def test_weights_are_counted_by_the_labels_of_the_documents(told: Told) -> None:
    mill, plan = open_project(told.folder), told.plans["split"]
    counted: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    for item in documents(mill, plan).values():
        group = f"manual:{item.label}" if item.source == "manual" else item.source
        counted[group] += 1
        tokens[group] += len(item.tokens)
    rows = {row["stream"]: row for row in told.weights["split"].whole("rows").to_pylist()}
    assert {name: (row["documents"], row["tokens"]) for name, row in rows.items()} == {
        name: (counted[name], tokens[name]) for name in counted
    }
    assert {"manual:of_a", "manual:of_b", "code"} <= set(rows) and "manual" not in rows
    whole = sum(tokens[name] for name in tokens if name.startswith("manual:"))
    drawn = sum(row["examples"] for row in rows.values() if row["split"])
    for name, row in rows.items():
        if row["split"]:
            assert row["natural_share"] == pytest.approx(tokens[name] / whole)
            assert row["planned_share"] == pytest.approx(row["examples"] / drawn)
    facts = told.weights["split"].manifest.facts
    assert facts["natural_share/manual:of_a"] == pytest.approx(rows["manual:of_a"]["natural_share"], abs=1e-6)
    assert facts["unlabelled_batches"] == 0


def test_every_example_is_tokens_of_documents_with_the_label(told: Told) -> None:
    """Each stream is the concatenation of its documents; step -> documents and document -> steps agree with it."""
    mill, plan = open_project(told.folder), plan_of(open_project(told.folder).get("tiny/base_plan"))
    mixture = mill.get("tiny/base_mixture")
    assert mixture_of(mill, plan).spec.to_json() == mixture.bytes_of("specification"), "a restart makes the same"
    every = documents(mill, plan)
    streams: dict[str, list[int]] = {}
    for item in every.values():
        name = f"manual:{item.label}" if item.source == "manual" else item.source
        streams.setdefault(name, []).extend(item.tokens)
    names = [row["stream"] for row in mixture.whole("parts").to_pylist()]
    assert len(set(names)) > 2 and set(names) <= set(streams)
    from pipelines.tokens.mixture.order import MixtureOrder
    from pipelines.tokens.mixture.spec import MixtureSpec

    spec = MixtureSpec.from_json(mixture.bytes_of("specification"))
    order, size, length = MixtureOrder(spec), plan.train.batch_sequences, plan.train.sequence_length
    drawn: Counter[str] = Counter()
    for step, read in enumerate(batches(mill, plan, mixture)):
        for row in range(size):
            example = order.example(step * size + row)
            name = spec.streams[example.stream].name
            drawn[name] += 1
            start = example.unit * length
            assert read[row].tolist() == streams[name][start : start + length + 1]
    planned = {row["stream"]: row["examples"] for row in mixture.whole("rows").to_pylist() if row["examples"]}
    assert dict(drawn) == planned


def test_labels_change_plans_and_never_tokens_and_nothing_of_other_lanes(told: Told) -> None:
    assert told.arrays["plain"] == told.arrays["unlabelled"] == told.arrays["split"] == told.arrays["relabelled"]
    assert len(set(told.plain.values())) == 1
    assert len({item.content for item in told.weights.values()}) == 4
    identities = {moment: plan.identity for moment, plan in told.plans.items()}
    assert len(set(identities.values())) == 4
    assert told.plans["plain"].labels == () and b'"labels"' not in told.plans["plain"].encode()
    assert b'"split": {' not in told.plans["plain"].encode()
    assert {item.partition for item in told.plans["split"].labels} == {"manual.one", "manual.two"}
    again = Plan.model_validate_json(told.plans["split"].encode())
    assert again == told.plans["split"] and again.identity == identities["split"]
    elsewhere = tuple(item.model_copy(update={"manifest": "0" * 64}) for item in again.labels)
    assert again.model_copy(update={"labels": elsewhere}).identity == identities["split"], "where is no identity"
    mill = open_project(told.folder)
    base = plan_of(mill.get("tiny/base_plan"))
    assert base.identity == identities["split"], "a base plan stands, whatever is relabelled"
    assert make(mill, "tiny/base_mixture").content == mill.get("tiny/base_mixture").content


def test_documents_of_batches_without_the_signal_are_none_and_it_is_said(told: Told) -> None:
    weights = told.weights["unlabelled"]
    rows = {row["stream"]: row for row in weights.whole("rows").to_pylist()}
    assert set(rows) == {"code", "manual:none"}
    assert rows["manual:none"]["note"].endswith("2 batches have no labels: manual.one, manual.two")
    check = next(item for item in weights.manifest.checks if item.name == "labelled")
    assert not check.passed and not check.blocking and "manual.one" in check.description
    assert check.values == {"batches_without": 2, "documents_without": rows["manual:none"]["documents"]}
    assert all(item.manifest is None and item.digest is None for item in told.plans["unlabelled"].labels)
    assert next(item for item in told.weights["split"].manifest.checks if item.name == "labelled").passed


def test_what_an_edit_of_labels_asks_for_is_told(told: Told) -> None:
    """`gristmill plan`: new signals make weights and proposals stale, and no array."""
    mill = edited(told.folder, {"more": "third", "themes": "other", "subjects": "of"}, SPLIT)
    try:
        make(mill, "more/topic_classifier")
        steps = {(step.asset, step.key): step for step in stale_steps(mill, build_graph(mill.project))}
        assert steps["quality_signals", "manual.one"].certain
        assert "quality_signals manual.one" in steps["tiny/mixture_weights", None].reason
        assert not any(step.certain for (asset, _), step in steps.items() if asset == "bpe/token_arrays")
        assert ("tiny/base_plan", None) not in steps and ("tiny/base_mixture", None) not in steps
    finally:
        edited(told.folder, {"themes": "other", "subjects": "of"}, SPLIT)


def test_a_takedown_leaves_the_next_plan_and_the_trace_of_the_old_mixture(told: Told) -> None:
    mill = open_project(told.folder)
    plan = plan_of(mill.get("tiny/base_plan"))
    gone = next(identity for identity, item in documents(mill, plan).items() if item.label == "of_a")
    mill = edited(told.folder, {"themes": "other", "subjects": "of"}, SPLIT, [gone.hex()])
    try:
        corpus(mill, list(mill.sealed()))
        stage = mill.project.lanes["tiny"].first_stage
        inputs = {"snapshot": mill.get("corpus_snapshot"), "weights": make(mill, "tiny/mixture_weights")}
        new = build_plan(mill, "tiny", "base", stage, {**inputs, **split_inputs(mill, "tiny", stage)}, None)
        assert gone not in documents(mill, new) and gone in documents(mill, plan)
        mixture = mixture_of(mill, new)
        assert {item.partition for item in new.labels} == {item.partition for item in plan.labels}
        counted = sum(row.documents for row in mixture.weights)
        assert counted == len(documents(mill, new)) == len(documents(mill, plan)) - 1
    finally:
        corpus(edited(told.folder, {"themes": "other", "subjects": "of"}, SPLIT), list(mill.sealed()))


@pytest.mark.slow
def test_training_rounds_control_trace_and_reports(told: Told) -> None:
    """The whole way: base, a batch that arrives, its round with replay, the control without; pages and traces."""
    mill = open_project(told.folder)
    for asset in ("base_checkpoint", "base_report", "released_checkpoint"):
        make(mill, f"tiny/{asset}")
    key = arrive(told.folder)
    seal_arrivals(mill)
    for asset in ("source_files", "crawled_text"):
        make(mill, asset, key)
    corpus(mill, list(mill.sealed()))
    make(mill, "tiny/mixture_weights")
    assert make(mill, "tiny/round_proposal").manifest.facts["decision"] == "go"
    for asset in ("continued_plan", "continued_mixture", "continued_checkpoint", "continued_report"):
        make(mill, f"tiny/{asset}", "r0001")
    said = list(run_control(mill, "tiny", "r0001"))
    assert "change of bits per byte" in said[0]
    checkpoints = [mill.get("tiny/base_checkpoint"), mill.get("tiny/continued_checkpoint", "r0001")]
    checkpoints.append(mill.get("tiny/control_checkpoint", "r0001"))
    for checkpoint, roles in zip(checkpoints, ({"all"}, {"new", "replay"}, {"new"}), strict=True):
        plan = plan_of(checkpoint)
        mixture = mill.store.open(checkpoint.manifest.inputs["mixture"].manifest)
        rows = split_rows(mill, checkpoint, plan)
        assert {row.role for row in rows if row.planned_share} == roles
        every = documents(mill, plan)
        trace, _ = open_trace(mill, checkpoint)
        uses: dict[bytes, list[Any]] = {}
        for step, read in enumerate(batches(mill, plan, mixture)):
            rows_read: list[list[int]] = [[] for _ in range(plan.train.batch_sequences)]
            for use in trace.documents(step, plan.train.batch_sequences):
                uses.setdefault(use.document, []).append(use)
                document, label = every[use.document], use.stream.partition(":")[2]
                assert not label or document.label == label
                row = use.example - step * plan.train.batch_sequences
                rows_read[row] += document.tokens[use.start : use.start + use.length]
            assert rows_read == read.tolist()
        for identity, found in uses.items():
            assert trace.uses(found[0].partition, found[0].part, identity) == sorted(found)
    lines = list(trace_document(mill, "tiny/continued_checkpoint:r0001", identity.hex()))
    assert f"{identity.hex()} (" in lines[0]
    assert any("manual:" in line for line in trace_step(mill, "tiny/base_checkpoint", 1))
    _reports(mill, checkpoints[:2])


def _reports(mill: Mill, checkpoints: list[Artifact]) -> None:
    """Pages show the split; shares as trained are those of the groups that were drawn."""
    for asset, key, checkpoint in (
        ("tiny/base_report", None, checkpoints[0]), ("tiny/continued_report", "r0001", checkpoints[1])
    ):  # fmt: skip
        report, plan = mill.get(asset, key), plan_of(checkpoint)
        page = report.bytes_of("report").decode()
        assert "Inside sources and domains" in page and "manual by topic" in page
        groups = group_shares(mill, plan, "test")
        every = documents(mill, plan)
        tokens: Counter[str] = Counter()
        for item in every.values():
            if item.source in plan.mixture.split:
                tokens[f"{item.source}:{item.label}"] += len(item.tokens)
        # What is not split has the signals that its arrays were made from: here none, they are older.
        assert {row.source: row.tokens for row in groups if row.signal == "topic"} == tokens
        assert {row.source for row in plain(groups, plan)} == set(plan.mixture.split) & {
            part.source for part in plan.parts
        }
        drawn = trained_groups(mill, checkpoint, groups)
        steps, ancestor = 0, checkpoint
        while True:
            of = plan_of(ancestor)
            steps += of.examples * of.train.sequence_length
            if of.parent is None:
                break
            ancestor = mill.store.open(of.parent.manifest)
        assert sum(drawn.values()) == pytest.approx(steps)
        values = json.loads(report.bytes_of("data"))
        (topics,) = [table for table in values["signals"] if table["title"].startswith("Topics of")]
        trained = {name: cells[0] for name, cells in topics["rows"]}
        expected: Counter[str] = Counter()
        for name, amount in drawn.items():
            if name in tokens:
                expected[name.partition(":")[2]] += amount / sum(drawn[item] for item in tokens)
        assert trained == pytest.approx(dict(expected)) and len(expected) > 1
