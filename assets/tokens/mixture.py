"""Mixtures: weights with their evidence, and the order of examples as an index into token arrays."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from assets.model.lineage import plan_of
from assets.recipe import Made, Recipe, Scope
from assets.tokens.labels import (
    LABELLED,
    counted_pieces,
    divider,
    labelled_check,
    lane_rows,
    split_inputs,
    unlabelled,
)
from pipelines.core.artifacts import read_table
from pipelines.core.manifest import CheckRecord, Part
from pipelines.corpus.filters.categories import NONE
from pipelines.evaluation.shares import SHARES
from pipelines.model.plans.plan import Plan
from pipelines.project import Project
from pipelines.tokens.mixture.build import Mixture, build_mixture
from pipelines.tokens.mixture.order import ORDER, MixtureOrder
from pipelines.tokens.mixture.packing import PACKING
from pipelines.tokens.mixture.permutation import FEISTEL
from pipelines.tokens.mixture.quota import QUOTA
from pipelines.tokens.mixture.spec import PartTokens, group_streams
from pipelines.tokens.mixture.split import SPLIT
from pipelines.tokens.mixture.weights import WEIGHTS, WeightRow, resolve_weights, weights_table
from resources.mill import Mill
from resources.stages import Action, store_array, store_bytes, store_table

Kind = Literal["base", "continued", "control"]
"""A control is a round once more without replay: made by a command, never by the graph."""
CHECKS = {
    "as_planned": "the observed mixture, counted over every example, is the planned one, stream by stream",
}


WEIGHT_CHECKS = {"whole": "the examples of the streams add up to those of the stage"}


def weights_recipes(project: Project, lane: str) -> list[Recipe]:
    """`<lane>/mixture_weights`."""

    def make(mill: Mill, action: Action) -> Made:
        return _make_weights(mill, lane, action)

    stage = project.lanes[lane].first_stage
    split = bool(stage.mixture.split)
    return [
        Recipe(
            asset=f"{lane}/mixture_weights",
            group="tokens/mixture",
            description="The weight of each source, domain or group of it, with the counts that it was resolved from.",
            kinds=frozenset({"arrow"}),
            scope=Scope.ONCE,
            inputs={"snapshot": "corpus_snapshot"},
            algorithms=(WEIGHTS, SPLIT, SHARES) if split else (WEIGHTS,),
            config=lambda project, key: _weights_config(project, lane),
            pinned=lambda mill, key: split_inputs(mill, lane, mill.project.lanes[lane].first_stage),
            make=make,
            checks=WEIGHT_CHECKS,
            warnings=LABELLED if split else {},
        )
    ]


def recipes(project: Project, lane: str, kind: Kind) -> list[Recipe]:
    """`<lane>/base_mixture` or `<lane>/continued_mixture`."""
    settings = project.lanes[lane]
    stage = settings.first_stage if kind == "base" else settings.rounds
    return [
        Recipe(
            asset=f"{lane}/{kind}_mixture",
            group="tokens/mixture",
            description="The order of examples of a training run: an index into token arrays, never a copy of tokens.",
            kinds=frozenset({"numpy"}),
            scope=Scope.ONCE if kind == "base" else Scope.ROUNDS,
            inputs={"plan": f"{lane}/{kind}_plan"},
            algorithms=(WEIGHTS, QUOTA, FEISTEL, ORDER, PACKING, *([SPLIT] if stage.mixture.split else [])),
            make=_make_mixture,
            checks=CHECKS,
        )
    ]


def _weights_config(project: Project, lane: str) -> dict[str, Any]:
    base = project.lanes[lane].first_stage
    return {
        "sources": project.lane_sources(lane),
        "tokenizer": project.lanes[lane].tokenizer,
        "mixture": base.mixture.identity(),
        "sequence_length": base.train.sequence_length,
        "examples": base.train.total_steps * base.train.batch_sequences,
    }


def _make_weights(mill: Mill, lane: str, action: Action) -> Made:
    batches = list(lane_rows(mill, lane, action.inputs["snapshot"]))
    parts = [
        PartTokens(row["key"], "", row["content"], row["source"], row["domain"], row["tokens"], row["documents"])
        for row in batches
    ]
    stage = mill.project.lanes[lane].first_stage
    length = stage.train.sequence_length
    pieces = counted_pieces(mill, action.asset, batches, stage.mixture, action.inputs)
    streams = group_streams(parts, stage.mixture, divide=lambda part: pieces[part.partition])
    units = {stream.name: max(stream.tokens - 1, 0) // length for stream in streams}
    examples = stage.train.total_steps * stage.train.batch_sequences
    missing = unlabelled(batches, stage.mixture, action.inputs)
    rows = [_noted(row, stage.mixture.by, missing) for row in resolve_weights(streams, units, stage.mixture, examples)]
    facts: dict[str, Any] = {f"weight/{row.stream}": round(row.share, 6) for row in rows}
    facts |= {f"epochs/{row.stream}": round(row.epochs, 4) for row in rows}
    facts |= _within(rows)
    given = sum(row.examples for row in rows)
    whole = CheckRecord(
        name="whole",
        passed=given == examples,
        description=WEIGHT_CHECKS["whole"],
        values={"examples": given, "planned_examples": examples},
    )
    checks = [whole]
    if stage.mixture.split:
        checks.append(labelled_check(missing))
        facts["unlabelled_batches"] = len(missing)
    return [Part(name="00000", files={"rows": store_table(mill.store, weights_table(rows))})], checks, facts


def _noted(row: WeightRow, by: str, missing: Mapping[str, Mapping[str, Any]]) -> WeightRow:
    """The stream of documents without a label says how many batches of its group had none to give."""
    mine = [key for key, batch in missing.items() if batch[by] == row.split]
    if not mine or row.group != f"{row.split}:{NONE}":
        return row
    note = f"{len(mine)} batches have no labels: {', '.join(mine[:3])}"
    return row._replace(note=f"{row.note}; {note}" if row.note else note)


def _within(rows: list[WeightRow]) -> dict[str, float]:
    """What the streams of split groups are of it, by nature and by plan."""
    split = [row for row in rows if row.split]
    found = {f"natural_share/{row.stream}": round(row.natural_share or 0.0, 6) for row in split}
    return found | {f"planned_share/{row.stream}": round(row.planned_share or 0.0, 6) for row in split}


def mixture_of(mill: Mill, plan: Plan) -> Mixture:
    """The mixture of a plan; best-fit packing reads the documents' lengths from the arrays' indexes, a split their
    labels from the signals that the plan pinned."""
    paths: dict[tuple[str, str], Any] = {}
    for planned in plan.parts:
        artifact = mill.store.open(planned.manifest)
        part = next(item for item in artifact.parts if item.name == planned.part)
        paths[planned.partition, planned.part] = artifact.path(part, "train_index")

    def lengths(part: PartTokens) -> np.ndarray[Any, np.dtype[np.int32]]:
        return np.asarray(read_table(paths[part.partition, part.part], ["length"])["length"])

    parts = [planned.part_tokens() for planned in plan.parts]
    seen = None if plan.seen is None else frozenset(plan.seen)
    return build_mixture(parts, plan.mixture, plan.examples, seen, lengths, divider(mill, plan))


def _make_mixture(mill: Mill, action: Action) -> Made:
    plan = plan_of(action.inputs["plan"])
    mixture = mixture_of(mill, plan)
    files = {
        "specification": store_bytes(mill.store, mixture.spec.to_json()),
        "rows": store_table(mill.store, mixture.weights_table()),
        "parts": store_table(mill.store, mixture.parts),
    }
    for stream, table in mixture.rows.items():
        files |= {f"packed/{stream}/{name}": store_array(mill.store, array) for name, array in table.arrays().items()}
    for stream, selection in mixture.selections.items():
        found = selection.arrays().items()
        files |= {f"selected/{stream}/{name}": store_array(mill.store, array) for name, array in found}
    check = _observed(mixture)
    facts: dict[str, Any] = {f"share/{row.stream}": round(row.share, 6) for row in mixture.weights}
    facts |= {f"epochs/{row.stream}": round(row.epochs, 4) for row in mixture.weights}
    facts |= _within(mixture.weights)
    facts |= {"examples": mixture.spec.examples}
    return [Part(name="00000", files=files)], [check], facts


def _observed(mixture: Mixture) -> CheckRecord:
    """Count every example of the order, a block at a time, against the specification."""
    order = MixtureOrder(mixture.spec)
    observed = np.zeros(len(mixture.spec.streams), np.int64)
    for start in range(0, len(order), 1 << 16):
        examples = order.examples(start, min(start + (1 << 16), len(order)))
        observed += np.bincount(examples.stream, minlength=len(observed))
    planned = [stream.examples for stream in mixture.spec.streams]
    return CheckRecord(
        name="as_planned",
        passed=observed.tolist() == planned,
        description=CHECKS["as_planned"],
        values={stream.name: int(count) for stream, count in zip(mixture.spec.streams, observed, strict=True)},
    )
