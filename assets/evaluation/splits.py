"""What a report says of a split mixture: each group by nature and by plan, and shares weighted group by group.

A source that is split is not trained on in its own proportions: shares "as trained" therefore take each of its groups
as heavy as the mixture made it, not the source as a whole.
"""

from collections import defaultdict

from assets.evaluation.shares import batch_shares
from assets.model.lineage import plan_of, upstream
from assets.tokens.labels import pinned_signals
from pipelines.core.artifacts import Artifact
from pipelines.corpus.filters.categories import NONE
from pipelines.evaluation.reports.data import SplitRow
from pipelines.evaluation.shares import Share, summed
from pipelines.model.plans.plan import Plan
from resources.mill import Mill


def split_rows(mill: Mill, checkpoint: Artifact, plan: Plan) -> tuple[SplitRow, ...]:
    """The groups of every split source or domain, those that gave no example included; none without a split."""
    if plan.imported or not plan.labels:
        return ()
    mixture = mill.store.open(checkpoint.manifest.inputs["mixture"].manifest)
    return tuple(
        SplitRow(
            split=row["split"],
            signal=plan.mixture.split[row["split"]],
            role=row["role"],
            value=row["group"].removeprefix(f"{row['split']}:"),
            documents=row["documents"],
            tokens=row["tokens"],
            natural_share=row["natural_share"],
            planned_share=row["planned_share"],
            epochs=row["epochs"],
            note=row["note"],
        )
        for row in mixture.whole("rows").to_pylist()
        if row.get("split")
    )


def group_shares(mill: Mill, plan: Plan, asset: str) -> list[Share]:
    """Shares of a plan's arrays, each group of what is split as a source of its own, `<source>:<value>`.

    Labels are those that the plan pinned; elsewhere the signals that the arrays were made from.
    """
    if plan.imported:
        return []
    pinned = pinned_signals(mill, plan)
    within = {item.partition: item.signal for item in plan.labels}
    found: list[Share] = []
    for digest in dict.fromkeys(part.manifest for part in plan.parts):
        arrays = mill.store.open(digest)
        key = arrays.manifest.partition or ""
        signals = pinned.get(key) or upstream(mill.store, arrays, "quality_signals")
        mine = batch_shares(mill, asset, arrays, signals, within[key] if key in pinned else None)
        unlabelled = key in within and key not in pinned
        found += [row._replace(source=f"{row.source}:{NONE}") for row in mine] if unlabelled else mine
    return summed(found)


def plain(rows: list[Share], plan: Plan) -> list[Share]:
    """The same shares by source alone."""
    names = {part.source for part in plan.parts}
    return summed(row if row.source in names else row._replace(source=row.source.partition(":")[0]) for row in rows)


def trained_groups(mill: Mill, checkpoint: Artifact, shares: list[Share]) -> dict[str, float]:
    """Tokens that the checkpoint and its ancestors drew, by the sources and groups of `shares`.

    What an ancestor drew from a source that it did not split, or split otherwise, goes to the groups by their size.
    """
    sizes: dict[str, int] = defaultdict(int)
    counted: dict[str, str] = {}
    for row in shares:  # each signal's rows add up to the source
        if counted.setdefault(row.source, row.signal) == row.signal:
            sizes[row.source] += row.tokens or 0
    found: dict[str, float] = defaultdict(float)
    current: Artifact | None = checkpoint
    while current is not None:
        plan = plan_of(current)
        if plan.imported is None:
            for name, tokens in _drawn(mill, current, plan).items():
                source = name.partition(":")[0]
                mine = [name] if name in sizes else [item for item in sizes if item.partition(":")[0] == source]
                whole = sum(sizes[item] for item in mine)
                for item in mine or [name]:
                    found[item] += tokens * sizes[item] / whole if whole else tokens / max(len(mine), 1)
        current = mill.store.open(plan.parent.manifest) if plan.parent is not None else None
    return found


def _drawn(mill: Mill, checkpoint: Artifact, plan: Plan) -> dict[str, float]:
    """Tokens that one training run drew, by source or by the group of it; in a stream parts count by their size."""
    mixture = mill.store.open(checkpoint.manifest.inputs["mixture"].manifest)
    streams = {row["stream"]: row for row in mixture.whole("rows").to_pylist()}
    parts = mixture.whole("parts").to_pylist()
    whole: dict[str, int] = defaultdict(int)
    for part in parts:
        whole[part["stream"]] += part["tokens"]
    found: dict[str, float] = defaultdict(float)
    for part in parts:
        row = streams[part["stream"]]
        label = row["group"].removeprefix(f"{row['split']}:") if row.get("split") else None
        name = part["source"] if label is None else f"{part['source']}:{label}"
        drawn = row["examples"] * plan.train.sequence_length
        found[name] += drawn * part["tokens"] / max(whole[part["stream"]], 1)
    return found
