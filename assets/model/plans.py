"""Plans and proposals: what a training run is, decided before it starts."""

import json
from collections.abc import Mapping
from typing import Any, Literal

from assets.automation.settling import bound_rounds
from assets.model.lineage import pin, plan_of
from assets.model.rights import LICENSED, licensed_check, refusal
from assets.recipe import Made, NotReadyError, Recipe, Scope
from assets.tokens.labels import planned_labels, split_inputs
from pipelines.core.artifacts import Artifact
from pipelines.core.fingerprint import digest_json
from pipelines.core.manifest import CheckRecord, Part, StoredFile
from pipelines.corpus.acquisition.packages import resolve_path
from pipelines.model.config import ArchitectureConfig, TrainConfig
from pipelines.model.estimates.cost import estimate
from pipelines.model.plans.plan import PLAN, HeldOutBatch, Plan, PlanEstimate, PlannedPart
from pipelines.model.plans.proposal import PROPOSAL, Situation, decide
from pipelines.project import Project, StageConfig
from pipelines.tokens.tokenizer.bundle import TokenizerBundle
from resources.failpoints import failpoint
from resources.mill import Mill
from resources.rates import training_rate
from resources.stages import Action, store_bytes

PLAN_WARNINGS = {
    "measurable": "every domain that is trained on has held-out documents, so that a report can speak of it"
}
PROPOSAL_WARNINGS = {"affordable": "the round's estimate is within the hours and the memory that the lane allows"}


def base_recipes(project: Project, lane: str) -> list[Recipe]:
    """`<lane>/base_plan`."""

    def pinned(mill: Mill, key: str | None) -> dict[str, Artifact]:
        snapshot = mill.get("corpus_snapshot")
        if not snapshot.manifest.facts["complete"]:
            raise NotReadyError(f"{lane}/base_plan: the newest snapshot lacks batches that are still being made")
        return split_inputs(mill, lane, mill.project.lanes[lane].first_stage)

    def make(mill: Mill, action: Action) -> Made:
        plan = build_plan(mill, lane, "base", mill.project.lanes[lane].first_stage, action.inputs, None)
        return publish_plan(mill, plan)

    return [
        Recipe(
            asset=f"{lane}/base_plan",
            group="model/plans",
            description="The immutable specification of the base training, pinned at its first materialization.",
            kinds=frozenset({"json"}),
            scope=Scope.ONCE,
            inputs={"snapshot": "corpus_snapshot", "weights": f"{lane}/mixture_weights"},
            algorithms=(PLAN,),
            config=lambda project, key: _base_identity(project, lane),
            pinned=pinned,
            settled=lambda mill, key: mill.store.latest(f"{lane}/base_plan"),
            make=make,
            checks=LICENSED,
            warnings=PLAN_WARNINGS,
            immutable=True,
        )
    ]


def proposal_recipes(project: Project, lane: str) -> list[Recipe]:
    """`<lane>/round_proposal`: the launch form."""

    def make(mill: Mill, action: Action) -> Made:
        return _propose(mill, lane, action)

    def settled(mill: Mill, key: str | None) -> Artifact | None:
        """While the round that the previous proposal bound is in flight, that proposal stands."""
        previous = mill.store.latest(f"{lane}/round_proposal")
        in_flight = bound_rounds(mill, lane)
        return previous if previous is not None and previous.manifest.facts["round"] in in_flight else None

    return [
        Recipe(
            asset=f"{lane}/round_proposal",
            group="model/plans",
            description="Go or hold for the next round, with every reason and the estimate; a go binds the round.",
            kinds=frozenset({"json"}),
            scope=Scope.ONCE,
            inputs={
                "snapshot": "corpus_snapshot",
                "weights": f"{lane}/mixture_weights",
                "parent": f"{lane}/released_checkpoint",
            },
            algorithms=(PLAN, PROPOSAL),
            config=lambda project, key: _round_identity(project, lane),
            pinned=lambda mill, key: split_inputs(mill, lane, mill.project.lanes[lane].rounds),
            settled=settled,
            make=make,
            warnings=PROPOSAL_WARNINGS,
        )
    ]


def round_recipes(project: Project, lane: str) -> list[Recipe]:
    """`<lane>/continued_plan`: the plan that a proposal bound to the round's key."""

    def facts(mill: Mill, key: str | None) -> dict[str, Any]:
        for entry in mill.store.ledger(f"rounds/{lane}"):
            if entry["round"] == key:
                return {"round": key, "plan": entry["plan"]}
        raise NotReadyError(f"{lane}: no proposal bound round {key}; materialize {lane}/round_proposal first")

    def make(mill: Mill, action: Action) -> Made:
        return publish_plan(mill, Plan.model_validate_json(mill.store.path_of(action.facts["plan"]).read_bytes()))

    return [
        Recipe(
            asset=f"{lane}/continued_plan",
            group="model/plans",
            description="The specification of one round, as its proposal bound it.",
            kinds=frozenset({"json"}),
            scope=Scope.ROUNDS,
            inputs={"proposal": f"{lane}/round_proposal"},
            algorithms=(PLAN,),
            facts=facts,
            settled=lambda mill, key: mill.store.latest(f"{lane}/continued_plan", key),
            make=make,
            checks=LICENSED,
            warnings=PLAN_WARNINGS,
            artifact_class="recorded",
        )
    ]


def build_plan(
    mill: Mill,
    lane: str,
    kind: Literal["base", "continued"],
    stage: StageConfig,
    inputs: Mapping[str, Artifact],
    parent: Artifact | None,
) -> Plan:
    """The plan of a stage over the inputs of what makes it: `snapshot`, `weights`, the signals of split groups."""
    settings = mill.project.lanes[lane]
    snapshot, weights = inputs["snapshot"], inputs["weights"]
    tokenizer = mill.get(f"{settings.tokenizer}/tokenizer")
    files = {
        role: tokenizer.bytes_of(role) for role in ("tokenizer.json", "tokenizer_config.json", "tokenizer_facts.json")
    }
    facts = TokenizerBundle.from_files(files).facts
    parent_plan = plan_of(parent) if parent is not None else None
    imported: str | None = None
    if parent_plan is not None:
        architecture = parent_plan.architecture
    elif settings.imported is not None:
        architecture, imported = _imported(mill, settings.imported, facts.vocab_size)
    else:
        architecture = settings.shape.with_vocabulary(facts.vocab_size)
    sources = set(mill.project.lane_sources(lane))
    parts: list[PlannedPart] = []
    held_out: list[HeldOutBatch] = []
    for row in snapshot.whole("rows").to_pylist():
        if row["tokenizer"] != settings.tokenizer or row["absent"] or row["manifest"] is None:
            continue
        arrays = mill.store.open(row["manifest"])
        if row["heldout_documents"]:
            documents = arrays.manifest.inputs["documents"].manifest
            held_out.append(HeldOutBatch(partition=row["key"], domain=row["domain"], manifest=documents))
        if row["source"] in sources and imported is None:
            parts += [
                PlannedPart(
                    partition=row["key"],
                    part=part.name,
                    digest=part.files["train"].rows_digest,
                    source=row["source"],
                    domain=row["domain"],
                    tokens=part.counts["train/tokens"],
                    documents=part.counts["train/documents"],
                    manifest=arrays.digest,
                )
                for part in arrays.parts
            ]
    mixture = stage.mixture.model_copy(update={"sequence_length": stage.train.sequence_length})
    return Plan(
        lane=lane,
        kind=kind,
        snapshot=pin(snapshot),
        tokenizer=pin(tokenizer),
        parent=pin(parent) if parent is not None else None,
        evaluation_sets=pin(mill.get("evaluation_sets")),
        weights=pin(weights),
        parts=tuple(parts),
        labels=planned_labels(parts, mixture, inputs),
        imported=imported,
        seen=parent_plan.partitions if parent_plan else None,
        held_out=tuple(held_out),
        mixture=mixture,
        train=stage.train,
        optimiser=stage.optimiser,
        schedule=stage.schedule,
        architecture=architecture,
        end_of_text_id=facts.end_of_text_id,
        estimate=_estimate(stage.train, architecture),
    )


def _imported(mill: Mill, location: str, vocabulary: int) -> tuple[ArchitectureConfig, str]:
    """The architecture of an imported checkpoint and the digest of its files. Its vocabulary must hold the tokenizer's.

    Raises `ValueError` where it does not.
    """
    from pipelines.model.hf_layout import folder_digests, read_architecture

    folder = resolve_path(location, mill.loaded.path.parent)
    architecture = read_architecture(folder)
    if architecture.vocab_size < vocabulary:
        raise ValueError(
            f"the checkpoint {folder} has {architecture.vocab_size:,} embeddings, the lane's tokenizer {vocabulary:,} "
            "ids: import the tokenizer that belongs to it"
        )
    return architecture, digest_json(folder_digests(folder))


def _estimate(train: TrainConfig, architecture: ArchitectureConfig) -> PlanEstimate:
    values = estimate(train, architecture, 1.0)
    return PlanEstimate(
        parameters=values.parameters,
        tokens=values.tokens,
        flops=values.flops,
        peak_bytes=values.peak_bytes,
        checkpoint_bytes=values.checkpoint_bytes,
    )


def _stage_identity(project: Project, lane: str, stage: StageConfig) -> dict[str, Any]:
    settings = project.lanes[lane]
    return {
        "tokenizer": settings.tokenizer,
        "sources": project.lane_sources(lane),
        "shape": settings.shape.identity(),
        "mixture": stage.mixture.identity(),
        "train": stage.train.identity(),
        "optimiser": stage.optimiser.identity(),
        "schedule": stage.schedule.identity(),
    }


def _base_identity(project: Project, lane: str) -> dict[str, Any]:
    settings = project.lanes[lane]
    if settings.base is None:
        return {"tokenizer": settings.tokenizer, "imported": True}
    return _stage_identity(project, lane, settings.base)


def _round_identity(project: Project, lane: str) -> dict[str, Any]:
    rounds = project.lanes[lane].rounds
    limits = {name: getattr(rounds, name) for name in ("min_new_tokens", "max_hours", "max_memory_gb")}
    cards = project.corpus.sources
    rights = {
        "licences": {name: cards[name].licence for name in project.lane_sources(lane)},
        "permitted": list(project.lanes[lane].licences),
    }
    return {**_stage_identity(project, lane, rounds), **limits, **rights}


def publish_plan(mill: Mill, plan: Plan) -> Made:
    facts = {
        "identity": plan.identity,
        "parameters": plan.estimate.parameters,
        "planned_tokens": 0 if plan.imported else plan.estimate.tokens,
        "flops": 0.0 if plan.imported else plan.estimate.flops,
        "peak_bytes": plan.estimate.peak_bytes,
        "new_tokens": plan.new_tokens,
    }
    if plan.imported is None:
        rate = training_rate(mill.home, mill.project.lanes[plan.lane], plan.train, plan.architecture)
        mill.runner.notes["estimated_seconds"] = round(plan.estimate.tokens / rate, 1)
    data = plan.encode()
    file = StoredFile(object=mill.store.add_bytes(data), bytes=len(data), rows_digest=plan.identity)
    unmeasured = sorted({part.domain for part in plan.parts} - {batch.domain for batch in plan.held_out})
    measurable = CheckRecord(
        name="measurable",
        passed=not unmeasured,
        blocking=False,
        description=PLAN_WARNINGS["measurable"] + (f"; without: {', '.join(unmeasured)}" if unmeasured else ""),
        values={"domains_without": len(unmeasured)},
    )
    return [Part(name="00000", files={"plan": file})], [licensed_check(mill.project, plan), measurable], facts


def _propose(mill: Mill, lane: str, action: Action) -> Made:
    """Decide, and on a go bind the next round's key to the plan, once."""
    rounds = mill.project.lanes[lane].rounds
    released = action.inputs["parent"].json("released")
    parent = mill.store.open(released["manifest"])
    plan = build_plan(mill, lane, "continued", rounds, action.inputs, parent)
    rate = training_rate(mill.home, mill.project.lanes[lane], plan.train, plan.architecture)
    seconds = plan.estimate.tokens / rate
    seen = set(plan.seen or ())
    new = tuple(sorted({part.partition for part in plan.parts} - seen))
    plan_bytes = plan.encode()
    refused = mill.project.unlicensed_sources(lane, (part.source for part in plan.parts))
    open_checks = [] if action.inputs["snapshot"].manifest.facts["complete"] else ["snapshot is incomplete"]
    open_checks += [f"licensed ({refusal(lane, refused)})"] if refused else []
    entries = mill.store.ledger(f"rounds/{lane}")
    mine = next((entry["round"] for entry in entries if entry["identity"] == plan.identity), None)
    waiting = [key for key in bound_rounds(mill, lane) if key != mine]
    proposal = decide(
        Situation(
            new_tokens=plan.new_tokens,
            new_batches=new,
            min_new_tokens=rounds.min_new_tokens,
            in_flight=waiting[0] if waiting else None,
            already_run=mine if mine is not None and mine not in bound_rounds(mill, lane) else None,
            parent_released=True,
            failed_checks=tuple(open_checks),
            estimated_bytes=plan.estimate.peak_bytes,
            max_bytes=int(rounds.max_memory_gb * 1e9),
            estimated_seconds=seconds,
            max_seconds=rounds.max_hours * 3600,
        )
    )
    bound: str | None = None
    if proposal.decision == "go":
        digest = mill.store.add_bytes(plan_bytes)
        failpoint("proposal_binding")
        key = mine or f"r{len(entries) + 1:04d}"
        mill.store.append(
            f"rounds/{lane}", {"round": key, "plan": digest, "identity": plan.identity}, unique="identity"
        )
        bound = key
    record = {
        "decision": proposal.decision,
        "reasons": list(proposal.reasons),
        "round": bound,
        "new_tokens": plan.new_tokens,
        "new_batches": list(new),
        "parent": released,
        "estimate": plan.estimate.model_dump(),
        "plan": digest_json(plan.model_dump(mode="json")),
    }
    mill.runner.notes["estimated_seconds"] = round(seconds, 1)
    mill.runner.notes["tokens_per_second"] = round(rate, 1)
    facts = {
        "decision": proposal.decision,
        "why": "; ".join(proposal.reasons)[:900] or "nothing stands against it",
        "round": bound or "",
        "new_tokens": plan.new_tokens,
        "peak_bytes": plan.estimate.peak_bytes,
        "planned_tokens": plan.estimate.tokens,
    }
    data = (json.dumps(record, indent=1, sort_keys=True) + "\n").encode()
    affordable = CheckRecord(
        name="affordable",
        passed=seconds <= rounds.max_hours * 3600 and plan.estimate.peak_bytes <= rounds.max_memory_gb * 1e9,
        blocking=False,
        description=PROPOSAL_WARNINGS["affordable"],
        values={"hours": round(seconds / 3600, 4), "memory_gb": round(plan.estimate.peak_bytes / 1e9, 3)},
    )
    return [Part(name="00000", files={"proposal": store_bytes(mill.store, data)})], [affordable], facts
