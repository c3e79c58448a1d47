"""Where the labels of a split mixture come from: the signals of each batch of a split group, as inputs, pins and rows.

`mixture_weights` counts by them, a plan pins them, and the mixture of that plan reads what was pinned, whatever has
been relabelled since.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from assets.evaluation.shares import batch_shares, current_signals
from pipelines.core.artifacts import Artifact
from pipelines.core.fingerprint import digest_json
from pipelines.core.manifest import CheckRecord
from pipelines.corpus.filters.categories import NONE, family_of
from pipelines.evaluation.shares import Share
from pipelines.model.plans.plan import Plan, PlannedLabels, PlannedPart
from pipelines.project import StageConfig
from pipelines.tokens.mixture.config import MixtureConfig
from pipelines.tokens.mixture.spec import PartTokens, Piece
from pipelines.tokens.mixture.split import counted, labels_of, pieces_of
from resources.mill import Mill

PREFIX = "signals/"
LABELLED = {"labelled": "every batch of a split source or domain has the signal that splits it"}


def split_of(config: MixtureConfig, source: str, domain: str) -> str | None:
    """The signal that splits what a batch is of; None where nothing does."""
    return config.split.get(source if config.by == "source" else domain)


def split_inputs(mill: Mill, lane: str, stage: StageConfig) -> dict[str, Artifact]:
    """`signals/<batch>` of every batch of the newest snapshot that is in a split group of a stage.

    Backward references of what weighs or plans the stage: other labels are other inputs.
    """
    if not stage.mixture.split:
        return {}
    found = {}
    for row in lane_rows(mill, lane, mill.get("corpus_snapshot")):
        if split_of(stage.mixture, row["source"], row["domain"]):
            signals = current_signals(mill, mill.store.open(row["manifest"]))
            if signals is not None:
                found[f"{PREFIX}{row['key']}"] = signals
    return found


def lane_rows(mill: Mill, lane: str, snapshot: Artifact) -> Iterator[dict[str, Any]]:
    """Rows of a snapshot: the batches that a lane trains on, in ordinal order."""
    sources, tokenizer = set(mill.project.lane_sources(lane)), mill.project.lanes[lane].tokenizer
    for row in snapshot.whole("rows").to_pylist():
        if row["tokenizer"] == tokenizer and row["source"] in sources and row["content"] is not None:
            yield row


def counted_pieces(
    mill: Mill, asset: str, rows: Sequence[Mapping[str, Any]], config: MixtureConfig, inputs: Mapping[str, Artifact]
) -> dict[str, list[Piece]]:
    """Batch -> its documents and tokens by label, for the batches of split groups: shares, which reports have too."""
    found: dict[str, list[Piece]] = {}
    for row in rows:
        signal = split_of(config, row["source"], row["domain"])
        if signal is None:
            continue
        arrays, signals = mill.store.open(row["manifest"]), inputs.get(f"{PREFIX}{row['key']}")
        mine = [share for share in batch_shares(mill, asset, arrays, signals) if share.signal == signal]
        batch = PartTokens(
            row["key"], "", row["content"], row["source"], row["domain"], row["tokens"], row["documents"]
        )
        found[row["key"]] = counted(batch, _totals(mine) or ({NONE: batch[5:]} if batch.documents else {}))
    return found


def _totals(shares: Sequence[Share]) -> dict[str, tuple[int, int]]:
    """Value -> (tokens, documents), over the models that gave it."""
    totals: dict[str, tuple[int, int]] = {}
    for share in shares:
        tokens, documents = totals.get(share.value, (0, 0))
        totals[share.value] = (tokens + (share.tokens or 0), documents + share.documents)
    return totals


def unlabelled(
    rows: Sequence[Mapping[str, Any]], config: MixtureConfig, inputs: Mapping[str, Artifact]
) -> dict[str, Mapping[str, Any]]:
    """Rows, by batch, of split groups whose signal was not computed: all of their documents count as `none`."""
    missing = {}
    for row in rows:
        signal = split_of(config, row["source"], row["domain"])
        if signal is not None and row["documents"] and _pinned(signal, inputs.get(f"{PREFIX}{row['key']}")) is None:
            missing[row["key"]] = row
    return missing


def labelled_check(missing: Mapping[str, Mapping[str, Any]]) -> CheckRecord:
    """A warning that names the batches without labels."""
    told = f"; without: {', '.join([*missing][:5])}: materialize their quality_signals" if missing else ""
    return CheckRecord(
        name="labelled",
        passed=not missing,
        blocking=False,
        description=LABELLED["labelled"] + told,
        values={
            "batches_without": len(missing),
            "documents_without": sum(row["documents"] for row in missing.values()),
        },
    )


def planned_labels(
    parts: Sequence[PlannedPart], config: MixtureConfig, inputs: Mapping[str, Artifact]
) -> tuple[PlannedLabels, ...]:
    """The pins of a plan: for every batch of a split group the signals that label its documents."""
    found = {}
    for part in parts:
        signal = split_of(config, part.source, part.domain)
        if signal is not None and part.partition not in found:
            signals = inputs.get(f"{PREFIX}{part.partition}")
            digest = _pinned(signal, signals)
            manifest = signals.digest if signals is not None and digest is not None else None
            found[part.partition] = PlannedLabels(
                partition=part.partition, signal=signal, digest=digest, manifest=manifest
            )
    return tuple(found.values())


def _pinned(signal: str, signals: Artifact | None) -> str | None:
    """Digest of the rows of one family alone: another family, computed anew, is no other labels."""
    family = family_of(signal)
    if signals is None or not any(family in part.files for part in signals.parts):
        return None
    return digest_json([[part.name, part.files[family].rows_digest] for part in signals.parts if family in part.files])


def pinned_signals(mill: Mill, plan: Plan) -> dict[str, Artifact]:
    """Batch -> the signals that a plan pinned for its labels."""
    return {item.partition: mill.store.open(item.manifest) for item in plan.labels if item.manifest is not None}


def divider(mill: Mill, plan: Plan) -> Callable[[PartTokens], list[Piece]]:
    """Gives the pieces of a part of a plan: its index joined with the labels that the plan pinned."""
    signals = pinned_signals(mill, plan)
    columns = {item.partition: item.signal for item in plan.labels}
    manifests = {(part.partition, part.part): part.manifest for part in plan.parts}

    def divide(part: PartTokens) -> list[Piece]:
        column = columns[part.partition]
        table = _named(mill.store.open(manifests[part.partition, part.part]), part.part, "train_index", "length")
        labels = (
            _named(signals[part.partition], part.part, family_of(column), column) if part.partition in signals else None
        )
        return pieces_of(part, labels_of(table, labels, column))

    return divide


def _named(artifact: Artifact, name: str, role: str, column: str) -> Any:
    """`id` and a column of a table of the part of that name."""
    stored = next(item for item in artifact.parts if item.name == name)
    return artifact.table(stored, role, ["id", column])
