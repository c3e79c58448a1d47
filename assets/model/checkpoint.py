"""Checkpoints: one supervised training process each, and the newest one that passed every gate."""

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from assets.model.lineage import array_paths, model_folder, pin, plan_of, stream_files
from assets.model.rights import refuse_unlicensed
from assets.recipe import Made, Recipe, Scope
from assets.tokens.mixture import Kind
from pipelines.core.artifacts import Artifact
from pipelines.core.fingerprint import Algorithm, digest_json
from pipelines.core.manifest import CheckRecord, Part
from pipelines.model.algorithms import TRAINING_ALGORITHMS
from pipelines.model.plans.plan import Plan
from pipelines.project import Project
from resources.mill import Mill
from resources.rates import remember_rate
from resources.stages import Action, store_bytes, store_raw, store_table
from resources.trainer import TrainingJob, run_training

OBSERVE_SECONDS = 15.0
RELEASE = Algorithm("release", 1)
CHECKS = {
    "finite": "every loss of the curve is a number and the curve has every step",
}
RELEASE_CHECKS = {"loadable": "the weights, the configuration and the tokenizer of what is released are in the store"}


def recipes(project: Project, lane: str, kind: Kind) -> list[Recipe]:
    """`<lane>/base_checkpoint` or `<lane>/continued_checkpoint`."""
    imported = project.lanes[lane].imported if kind == "base" else None
    return [
        Recipe(
            asset=f"{lane}/{kind}_checkpoint",
            group="model/checkpoint",
            description="Weights, configuration and tokenizer in Hugging Face layout; optimiser state; loss curve.",
            kinds=frozenset({"pytorch", "huggingface"}),
            scope=Scope.ONCE if kind == "base" else Scope.ROUNDS,
            inputs={"plan": f"{lane}/{kind}_plan"} | ({} if imported else {"mixture": f"{lane}/{kind}_mixture"}),
            algorithms=TRAINING_ALGORITHMS,
            config=lambda project, key: {"imported": imported is not None},
            make=_make_imported if imported else _make_checkpoint,
            artifact_class="trained",
            checks=CHECKS,
        )
    ]


def release_recipes(project: Project, lane: str) -> list[Recipe]:
    """`<lane>/released_checkpoint`."""
    return [
        Recipe(
            asset=f"{lane}/released_checkpoint",
            group="model/checkpoint",
            description="Names the newest checkpoint that passed every gate: where the next round starts.",
            kinds=frozenset({"json"}),
            scope=Scope.ONCE,
            inputs={"base": f"{lane}/base_report"},
            algorithms=(RELEASE,),
            pinned=lambda mill, key: _round_reports(mill, lane),
            make=_make_release,
            checks=RELEASE_CHECKS,
        )
    ]


def _make_checkpoint(mill: Mill, action: Action) -> Made:
    plan = plan_of(action.inputs["plan"])
    refuse_unlicensed(mill.project, plan, action.asset)
    name = f"training/{action.digest}"
    work = mill.store.work_folder(name)
    parent = model_folder(mill, mill.store.open(plan.parent.manifest), work / "parent") if plan.parent else None
    job = TrainingJob(
        training_identity=action.digest,
        architecture=plan.architecture,
        train=plan.train,
        optimiser=plan.optimiser,
        schedule=plan.schedule,
        batches=_batches(mill, plan, action.inputs["mixture"], work),
        eos_token_id=plan.end_of_text_id,
        bos_token_id=plan.end_of_text_id,
        parent=parent,
        work_dir=work,
    )
    result = run_training(job, progress=_Curve(mill, plan, action.asset))
    fresh = plan.train.tokens_per_step * (result.step - result.resumed_from)
    if fresh and result.seconds > 10:
        remember_rate(mill.home, plan.train, plan.architecture, fresh / result.seconds)
    mill.runner.notes["peak_bytes"] = result.peak_bytes
    mill.runner.notes["training_seconds"] = round(result.seconds, 1)
    mill.runner.notes["estimated_peak_bytes"] = plan.estimate.peak_bytes
    made = _published(mill, plan, result.checkpoint, _losses(result.checkpoint, plan))
    mill.runner.spent.append(name)
    return made


def _batches(mill: Mill, plan: Plan, mixture: Artifact, work: Path) -> dict[str, Any]:
    """The trainer's section on data: paths of this machine, so it is written for each launch and is no identity."""
    part = mixture.parts[0]
    arrays = {digest: str(path) for digest, path, _ in array_paths(mill, plan)}
    return {
        "kind": "mixture",
        "specification": str(mixture.path(part, "specification")),
        "parts": str(mixture.path(part, "parts")),
        "arrays": arrays,
        "dtype": "uint16" if plan.architecture.vocab_size <= 1 << 16 else "uint32",
        "end_of_text_id": plan.end_of_text_id,
        "rows": {role: str(path) for role, path in stream_files(mixture, "packed/").items()},
        "selections": {role: str(path) for role, path in stream_files(mixture, "selected/").items()},
    }


class _Curve:
    """Events of the trainer to the terminal, and every 15 seconds to the live curve in the UI."""

    def __init__(self, mill: Mill, plan: Plan, asset: str) -> None:
        self.mill, self.plan, self.asset = mill, plan, asset
        self.told = 0.0

    def __call__(self, event: Mapping[str, Any]) -> None:
        if event["event"] != "step":
            return
        self.mill.runner.hold.check()
        step, steps = int(event["step"]), int(event["steps"])
        self.mill.runner.tell(self.asset, step, steps, int(event["tokens"]), f"loss {event['loss']:.3f}")
        now = time.monotonic()
        if now - self.told >= OBSERVE_SECONDS or step == steps:
            self.told = now
            values = {name: float(event[name]) for name in ("step", "loss", "learning_rate", "tokens_per_second")}
            self.mill.runner.observe(f"{self.plan.lane}/training_progress", values)


def _losses(folder: Path, plan: Plan) -> pa.Table:
    """The loss curve: step from 1, loss in nats per token, the learning rate of the step."""
    from pipelines.model.checkpoint import read_losses
    from pipelines.model.schedules import Schedule

    losses = read_losses(folder)
    schedule = Schedule(plan.schedule, plan.train.total_steps)
    rates = [plan.optimiser.learning_rate * schedule(step) for step in range(1, len(losses) + 1)]
    return pa.table(
        {
            "step": pa.array(range(1, len(losses) + 1), pa.int64()),
            "loss": pa.array(losses, pa.float64()),
            "learning_rate": pa.array(rates, pa.float64()),
        }
    )


def _published(mill: Mill, plan: Plan, folder: Path, losses: pa.Table) -> Made:
    tokenizer = mill.store.open(plan.tokenizer.manifest)
    files = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in (".safetensors", ".json") and path.name != "manifest.json":
            copy = mill.store.scratch()
            shutil.copyfile(path, copy)
            files[path.name] = store_raw(mill.store, copy)
    for role in ("tokenizer.json", "tokenizer_config.json"):
        files[role] = store_bytes(mill.store, tokenizer.bytes_of(role))
    files["losses"] = store_table(mill.store, losses)
    curve = losses["loss"].to_pylist()
    finite = CheckRecord(
        name="finite",
        passed=len(curve) == plan.train.total_steps and all(loss == loss and abs(loss) < 1e9 for loss in curve),
        description=CHECKS["finite"],
        values={"steps": len(curve), "planned_steps": plan.train.total_steps},
    )
    facts = {
        "parameters": plan.estimate.parameters,
        "steps": len(curve),
        "tokens": len(curve) * plan.train.tokens_per_step,
        "first_loss": round(curve[0], 6) if curve else 0.0,
        "last_loss": round(curve[-1], 6) if curve else 0.0,
        "weights": files["model.safetensors"].object,
    }
    return [Part(name="00000", files=files)], [finite], facts


def _make_imported(mill: Mill, action: Action) -> Made:
    """A base that somebody else trained: a Hugging Face folder, loaded, checked and written in our layout."""
    from pipelines.corpus.acquisition.packages import resolve_path
    from pipelines.model.hf_layout import folder_digests, load_model, save_model

    plan = plan_of(action.inputs["plan"])
    folder = resolve_path(mill.project.lanes[plan.lane].imported or "", mill.loaded.path.parent)
    if digest_json(folder_digests(folder)) != plan.imported:
        raise ValueError(
            f"{folder} is not the checkpoint that {plan.lane}/base_plan names: put its files back, or give the new "
            "ones to a new lane"
        )
    model = load_model(folder)
    work = mill.store.work_folder(f"training/{action.digest}")
    save_model(work, model, bos_token_id=plan.end_of_text_id, eos_token_id=plan.end_of_text_id)
    schema = {"step": pa.int64(), "loss": pa.float64(), "learning_rate": pa.float64()}
    parts, _, facts = _published(
        mill, plan, work, pa.table({name: pa.array([], kind) for name, kind in schema.items()})
    )
    mill.runner.spent.append(f"training/{action.digest}")
    check = CheckRecord(name="finite", passed=True, description="an imported checkpoint has no curve of ours")
    return parts, [check], facts


def _round_reports(mill: Mill, lane: str) -> dict[str, Artifact]:
    """Reports of finished rounds, in order."""
    reports = {}
    for entry in mill.store.ledger(f"rounds/{lane}"):
        report = mill.store.latest(f"{lane}/continued_report", entry["round"])
        if report is not None:
            reports[f"round/{entry['round']}"] = report
    return reports


def _make_release(mill: Mill, action: Action) -> Made:
    """The base, then every round whose gates passed: the last of them."""
    chosen = action.inputs["base"]
    for name, report in action.inputs.items():
        if name.startswith("round/") and report.manifest.facts["gates_passed"]:
            chosen = report
    checkpoint = mill.store.open(chosen.manifest.inputs["checkpoint"].manifest)
    record = {**pin(checkpoint).model_dump(), "round": checkpoint.manifest.partition}
    data = (json.dumps(record, sort_keys=True, indent=1) + "\n").encode()
    facts = {"released": f"{checkpoint.manifest.asset} {checkpoint.manifest.partition or ''}".strip()}
    files = checkpoint.parts[0].files
    needed = [files.get(name) for name in ("model.safetensors", "config.json", "tokenizer.json")]
    loadable = CheckRecord(
        name="loadable",
        passed=all(file is not None and mill.store.has(file.object) for file in needed),
        description=RELEASE_CHECKS["loadable"],
        values={"steps": checkpoint.manifest.facts["steps"]},
    )
    return [Part(name="00000", files={"released": store_bytes(mill.store, data)})], [loadable], facts
