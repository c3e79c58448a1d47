"""What a report says beside the scores, read from manifests: model, curve, mixture, funnel, licences, digests."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from assets.model.lineage import plan_of, upstream
from pipelines.core.artifacts import Artifact
from pipelines.evaluation.reports.data import (
    Digest,
    FunnelRow,
    LicenceRow,
    LossPoint,
    MixtureRow,
    ModelFacts,
    SignalTable,
)
from pipelines.evaluation.reports.sections import ASIDE
from pipelines.evaluation.reports.signals import signal_tables
from pipelines.model.plans.plan import Plan
from resources.mill import Mill

STAGES = (
    ("crawled_text", "extraction", "records"),
    ("filtered_documents", "quality rules", "rows_in"),
    ("duplicate_matches", "duplicates", "rows_in"),
    ("clean_documents", "cleaning", "rows_in"),
    ("token_arrays", "held out", "rows_in"),
)
MAX_POINTS = 600


def model_facts(mill: Mill, checkpoint: Artifact) -> ModelFacts:
    """A checkpoint with the steps and tokens of its whole ancestry."""
    manifest, plan = checkpoint.manifest, plan_of(checkpoint)
    steps, tokens = int(manifest.facts["steps"]), int(manifest.facts["tokens"])
    ancestor = plan.parent
    while ancestor is not None:
        before = mill.store.open(ancestor.manifest)
        steps, tokens = steps + int(before.manifest.facts["steps"]), tokens + int(before.manifest.facts["tokens"])
        ancestor = plan_of(before).parent
    return ModelFacts(
        name=f"{manifest.asset} {manifest.partition or ''}".strip(),
        parameters=plan.estimate.parameters,
        steps=steps,
        tokens=tokens,
        context_length=plan.architecture.max_positions,
        vocabulary=plan.architecture.vocab_size,
    )


def loss_points(checkpoint: Artifact) -> tuple[LossPoint, ...]:
    """The loss curve, at most `MAX_POINTS` of it."""
    table = checkpoint.whole("losses")
    every = max(1, len(table) // MAX_POINTS)
    rows = table.to_pylist()
    return tuple(LossPoint(row["step"], row["loss"], row["learning_rate"]) for row in rows[::every])


def mixture_rows(mill: Mill, checkpoint: Artifact, plan: Plan) -> tuple[MixtureRow, ...]:
    """Streams with their shares; none for an imported checkpoint."""
    if plan.imported:
        return ()
    mixture = mill.store.open(checkpoint.manifest.inputs["mixture"].manifest)
    length = plan.train.sequence_length
    return tuple(
        MixtureRow(row["stream"], row["share"], row["examples"] * length, row["epochs"])
        for row in mixture.whole("rows").to_pylist()
    )


def _arrays(mill: Mill, plan: Plan) -> list[Artifact]:
    return [mill.store.open(digest) for digest in dict.fromkeys(part.manifest for part in plan.parts)]


def funnel(mill: Mill, plan: Plan) -> tuple[FunnelRow, ...]:
    """Documents in, kept and dropped by reason, summed over the plan's batches; none for an imported checkpoint."""
    if plan.imported:
        return ()
    totals: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for arrays in _arrays(mill, plan):
        for asset, label, _ in STAGES:
            artifact = arrays if asset == "token_arrays" else upstream(mill.store, arrays, asset)
            if artifact is not None:
                for name, count in artifact.manifest.counts.items():
                    totals[label][name] += count
    return funnel_rows(totals)


def batch_funnel(stages: Mapping[str, Artifact]) -> tuple[FunnelRow, ...]:
    """The funnel of one batch, from the artifacts of its stages by asset."""
    labels = {asset: label for asset, label, _ in STAGES}
    counts = {labels[asset]: artifact.manifest.counts for asset, artifact in stages.items() if asset in labels}
    return funnel_rows(counts)


def funnel_rows(totals: Mapping[str, Mapping[str, int]]) -> tuple[FunnelRow, ...]:
    """Rows of the stages that `totals` has counts of, by label, in the order of the graph."""
    rows: dict[str, FunnelRow] = {}
    for asset, label, entering in STAGES:
        if label not in totals:
            continue
        counts = defaultdict(int, totals[label])
        dropped = {
            name.removeprefix("dropped/"): count
            for name, count in counts.items()
            if name.startswith("dropped/") and count
        }
        aside = {name: dropped.pop(name) for name in ASIDE if name in dropped}
        entered, kept = counts[entering] - sum(aside.values()), counts["kept"]
        if asset == "token_arrays":
            dropped["held out for evaluation"] = counts["heldout/documents"]
            kept = counts["train/documents"]
        ranked = dict(sorted(dropped.items(), key=lambda item: -item[1]))
        rows[label] = FunnelRow(label, entered, kept, ranked, aside)
    return tuple(rows.values())


def signals(mill: Mill, plan: Plan) -> tuple[SignalTable, ...]:
    """What the signals say of the plan's batches."""
    if plan.imported:
        return ()
    found = (upstream(mill.store, arrays, "quality_signals") for arrays in _arrays(mill, plan))
    return tables_of(mill, (artifact for artifact in found if artifact is not None))


def tables_of(mill: Mill, signals: Iterable[Artifact]) -> tuple[SignalTable, ...]:
    """Languages, topics, perplexity and classifiers by domain, from the counts of `quality_signals` of batches."""
    totals: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for artifact in signals:
        domain = mill.project.source_of(artifact.manifest.partition or "").domain
        for name, count in artifact.manifest.counts.items():
            totals[domain][name] += count
    return signal_tables(totals)


IMPORTED = "imported weights"
"""The row of what a checkpoint that was trained elsewhere has seen: nobody here can say."""


def licences(mill: Mill, checkpoint: Artifact) -> tuple[LicenceRow, ...]:
    """Each source that the checkpoint and its ancestors drew from: licence, documents and tokens there, tokens trained.

    Inside a stream the trained tokens go to its parts by their size, as the permutation draws them.
    """
    documents: dict[str, int] = defaultdict(int)
    tokens: dict[str, int] = defaultdict(int)
    trained: dict[str, float] = defaultdict(float)
    counted: set[tuple[str, str]] = set()
    imported = False
    current: Artifact | None = checkpoint
    while current is not None:
        plan = plan_of(current)
        imported = imported or plan.imported is not None
        for part in plan.parts:
            if (part.partition, part.part) not in counted:
                counted.add((part.partition, part.part))
                documents[part.source] += part.documents
                tokens[part.source] += part.tokens
        for source, share in _trained(mill, current, plan).items():
            trained[source] += share
        current = mill.store.open(plan.parent.manifest) if plan.parent is not None else None
    cards = mill.project.corpus.sources
    total = sum(trained.values())
    rows = [
        LicenceRow(
            name,
            cards[name].licence if name in cards else None,
            documents[name],
            tokens[name],
            round(trained[name]),
            trained[name] / total if total else 0.0,
        )
        for name in sorted(tokens)
    ]
    return tuple([*rows, LicenceRow(IMPORTED, None)] if imported else rows)


def _trained(mill: Mill, checkpoint: Artifact, plan: Plan) -> dict[str, float]:
    """Tokens of the training run by source."""
    if plan.imported is not None:
        return {}
    mixture = mill.store.open(checkpoint.manifest.inputs["mixture"].manifest)
    drawn = {row["stream"]: row["examples"] * plan.train.sequence_length for row in mixture.whole("rows").to_pylist()}
    sizes: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for part in mixture.whole("parts").to_pylist():
        sizes[part["stream"]][part["source"]] += part["tokens"]
    found: dict[str, float] = defaultdict(float)
    for stream, sources in sizes.items():
        whole = sum(sources.values())
        for source, size in sources.items():
            found[source] += drawn.get(stream, 0) * size / max(whole, 1)
    return found


def digests(checkpoint: Artifact, plan: Plan) -> tuple[Digest, ...]:
    return (
        Digest("training identity", checkpoint.manifest.action),
        Digest("weights (SHA-256)", str(checkpoint.manifest.facts["weights"])),
        Digest("plan", plan.identity),
        Digest("corpus snapshot", plan.snapshot.content),
        Digest("tokenizer", plan.tokenizer.content),
        Digest("evaluation sets", plan.evaluation_sets.content),
    )
