"""Mixtures: weights with their evidence, and the order of examples as an index into token arrays."""

from typing import Any, Literal

import numpy as np
import pyarrow as pa

from assets.model.lineage import plan_of
from assets.recipe import Made, Recipe, Scope
from pipelines.core.artifacts import read_table
from pipelines.core.manifest import CheckRecord, Part
from pipelines.model.plans.plan import Plan
from pipelines.project import Project
from pipelines.tokens.mixture.build import Mixture, build_mixture
from pipelines.tokens.mixture.order import ORDER, MixtureOrder
from pipelines.tokens.mixture.packing import PACKING
from pipelines.tokens.mixture.permutation import FEISTEL
from pipelines.tokens.mixture.quota import QUOTA
from pipelines.tokens.mixture.spec import PartTokens, group_streams
from pipelines.tokens.mixture.weights import WEIGHTS, resolve_weights
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

    return [
        Recipe(
            asset=f"{lane}/mixture_weights",
            group="tokens/mixture",
            description="The weight of each source or domain, with the token counts that it was resolved from.",
            kinds=frozenset({"arrow"}),
            scope=Scope.ONCE,
            inputs={"snapshot": "corpus_snapshot"},
            algorithms=(WEIGHTS,),
            config=lambda project, key: _weights_config(project, lane),
            make=make,
            checks=WEIGHT_CHECKS,
        )
    ]


def recipes(project: Project, lane: str, kind: Kind) -> list[Recipe]:
    """`<lane>/base_mixture` or `<lane>/continued_mixture`."""
    return [
        Recipe(
            asset=f"{lane}/{kind}_mixture",
            group="tokens/mixture",
            description="The order of examples of a training run: an index into token arrays, never a copy of tokens.",
            kinds=frozenset({"numpy"}),
            scope=Scope.ONCE if kind == "base" else Scope.ROUNDS,
            inputs={"plan": f"{lane}/{kind}_plan"},
            algorithms=(WEIGHTS, QUOTA, FEISTEL, ORDER, PACKING),
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
    settings = mill.project.lanes[lane]
    sources = set(mill.project.lane_sources(lane))
    parts = [
        PartTokens(row["key"], "", row["content"], row["source"], row["domain"], row["tokens"], row["documents"])
        for row in action.inputs["snapshot"].whole("rows").to_pylist()
        if row["tokenizer"] == settings.tokenizer and row["source"] in sources and row["content"] is not None
    ]
    stage = settings.first_stage
    length = stage.train.sequence_length
    streams = group_streams(parts, stage.mixture)
    units = {stream.name: max(stream.tokens - 1, 0) // length for stream in streams}
    examples = stage.train.total_steps * stage.train.batch_sequences
    rows = resolve_weights(streams, units, stage.mixture, examples)
    table = pa.Table.from_pylist([row._asdict() for row in rows])
    facts: dict[str, Any] = {f"weight/{row.stream}": round(row.share, 6) for row in rows}
    facts |= {f"epochs/{row.stream}": round(row.epochs, 4) for row in rows}
    given = sum(row.examples for row in rows)
    whole = CheckRecord(
        name="whole",
        passed=given == examples,
        description=WEIGHT_CHECKS["whole"],
        values={"examples": given, "planned_examples": examples},
    )
    return [Part(name="00000", files={"rows": store_table(mill.store, table)})], [whole], facts


def mixture_of(mill: Mill, plan: Plan) -> Mixture:
    """The mixture of a plan; best-fit packing reads the documents' lengths from the arrays' indexes."""
    paths: dict[tuple[str, str], Any] = {}
    for planned in plan.parts:
        artifact = mill.store.open(planned.manifest)
        part = next(item for item in artifact.parts if item.name == planned.part)
        paths[planned.partition, planned.part] = artifact.path(part, "train_index")

    def lengths(part: PartTokens) -> np.ndarray[Any, np.dtype[np.int32]]:
        return np.asarray(read_table(paths[part.partition, part.part], ["length"])["length"])

    parts = [planned.part_tokens() for planned in plan.parts]
    seen = None if plan.seen is None else frozenset(plan.seen)
    return build_mixture(parts, plan.mixture, plan.examples, seen, lengths)


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
    check = _observed(mixture)
    facts: dict[str, Any] = {f"share/{row.stream}": round(row.share, 6) for row in mixture.weights}
    facts |= {f"epochs/{row.stream}": round(row.epochs, 4) for row in mixture.weights}
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
