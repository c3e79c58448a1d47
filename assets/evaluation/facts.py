"""What a report says beside the scores, read from manifests: model, curve, mixture, funnel, licences, digests."""

from collections import defaultdict
from collections.abc import Mapping

from assets.model.lineage import plan_of, upstream
from pipelines.core.artifacts import Artifact
from pipelines.evaluation.reports.data import Digest, FunnelRow, LicenceRow, LossPoint, MixtureRow, ModelFacts
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
        kept = counts["kept"]
        if asset == "token_arrays":
            dropped["held out for evaluation"] = counts["heldout/documents"]
            kept = counts["train/documents"]
        rows[label] = FunnelRow(label, counts[entering], kept, dict(sorted(dropped.items(), key=lambda item: -item[1])))
    return tuple(rows.values())


def licences(mill: Mill, plan: Plan) -> tuple[LicenceRow, ...]:
    """Source, licence, documents and tokens that the plan may draw from."""
    documents: dict[str, int] = defaultdict(int)
    tokens: dict[str, int] = defaultdict(int)
    for part in plan.parts:
        documents[part.source] += part.documents
        tokens[part.source] += part.tokens
    sources = mill.project.corpus.sources
    return tuple(
        LicenceRow(name, sources[name].licence if name in sources else None, documents[name], tokens[name])
        for name in sorted(tokens)
    )


def digests(checkpoint: Artifact, plan: Plan) -> tuple[Digest, ...]:
    return (
        Digest("training identity", checkpoint.manifest.action),
        Digest("weights (SHA-256)", str(checkpoint.manifest.facts["weights"])),
        Digest("plan", plan.identity),
        Digest("corpus snapshot", plan.snapshot.content),
        Digest("tokenizer", plan.tokenizer.content),
        Digest("evaluation sets", plan.evaluation_sets.content),
    )
