"""Evaluation: a report for every checkpoint."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from assets.corpus.cleaning import held_out_table
from assets.evaluation.facts import (
    digests,
    funnel,
    licences,
    loss_points,
    mixture_rows,
    model_facts,
    signals,
)
from assets.evaluation.splits import group_shares, plain, split_rows, trained_groups
from assets.model.lineage import model_folder, plan_of
from assets.recipe import Made, Recipe, Scope
from assets.tokens.mixture import Kind
from pipelines.core.artifacts import Artifact
from pipelines.core.fingerprint import Algorithm
from pipelines.core.manifest import CheckRecord, Part
from pipelines.evaluation.compare import COMPARE, DomainComparison, compare_domains, compare_tasks
from pipelines.evaluation.items import Item
from pipelines.evaluation.perplexity import PERPLEXITY, score_documents
from pipelines.evaluation.reports.base import base_report_html
from pipelines.evaluation.reports.comparison import comparison_report_html
from pipelines.evaluation.reports.data import BaseReport, ComparisonReport, Generation, to_json
from pipelines.evaluation.reports.shares import share_tables
from pipelines.evaluation.scores import SCORES, DomainScore, domain_scores, task_scores
from pipelines.evaluation.shares import SHARES, shares_table
from pipelines.evaluation.tasks import ITEM_SCORES, MULTIPLE_CHOICE, score_items
from pipelines.model.plans.plan import Plan
from pipelines.project import GateConfig, Project
from resources.mill import Mill
from resources.stages import Action, store_bytes, store_table

REPORT = Algorithm("report-page", 4)
ALGORITHMS = (PERPLEXITY, MULTIPLE_CHOICE, SCORES, COMPARE, SHARES, REPORT)
SCORED = {"scored": "every domain that has held-out documents has its bits per byte"}
GATES = {"gates": "nothing was forgotten beyond the lane's gate; a round that fails is kept, marked, and not released"}
PROMPT_CHARACTERS = 60
GENERATED_TOKENS = 60
TEMPERATURE, TOP_P = 0.8, 0.95
"""A small model's greedy continuation is one word for ever; both checkpoints of a comparison draw with one seed."""


def recipes(project: Project, lane: str, kind: Kind) -> list[Recipe]:
    """`<lane>/base_report` or `<lane>/continued_report`."""
    return [
        Recipe(
            asset=f"{lane}/{kind}_report",
            group="evaluation/reports",
            description="Bits per byte by domain with intervals, tasks, loss curve; for a round against its parent.",
            kinds=frozenset({"html"}),
            scope=Scope.ONCE if kind == "base" else Scope.ROUNDS,
            inputs={"checkpoint": f"{lane}/{kind}_checkpoint"},
            algorithms=ALGORITHMS,
            config=lambda project, key: _config(project, lane, kind),
            pinned=lambda mill, key: _pinned(mill, lane, kind, key),
            make=lambda mill, action: _make_report(mill, lane, kind, action),
            warnings=SCORED if kind == "base" else SCORED | GATES,
        )
    ]


def _config(project: Project, lane: str, kind: Kind) -> dict[str, Any]:
    values = {
        "evaluation": project.evaluation.identity(),
        "licences": {name: source.licence for name, source in project.corpus.sources.items()},
    }
    if kind != "base":
        values["gates"] = project.lanes[lane].rounds.gates.identity()
    return values


def _decode_items(data: bytes) -> list[Item]:
    lists = ("contexts", "continuations", "choices")
    records: list[dict[str, Any]] = [json.loads(line) for line in data.decode().splitlines()]
    return [Item(**{**record, **{name: tuple(record[name]) for name in lists}}) for record in records]


def _pinned(mill: Mill, lane: str, kind: Kind, key: str | None) -> dict[str, Artifact]:
    """The sets and held-out documents that the plan pinned, and the parent that it starts from."""
    plan = plan_of(mill.get(f"{lane}/{kind}_checkpoint", key))
    found = {"evaluation_sets": mill.store.open(plan.evaluation_sets.manifest)}
    found |= {f"held_out/{batch.partition}": mill.store.open(batch.manifest) for batch in plan.held_out}
    if plan.parent is not None:
        found["parent"] = mill.store.open(plan.parent.manifest)
    return found


def held_out_documents(artifacts: Iterator[Artifact]) -> pa.Table:
    """id, domain, text of every held-out document of clean documents."""
    tables = [table for artifact in artifacts if (table := held_out_table(artifact, "heldout_documents")) is not None]
    schema = pa.schema([("id", pa.binary(16)), ("domain", pa.large_string()), ("text", pa.large_string())])
    return pa.concat_tables(tables) if tables else schema.empty_table()


def _make_report(mill: Mill, lane: str, kind: Kind, action: Action) -> Made:
    checkpoint = action.inputs["checkpoint"]
    plan = plan_of(checkpoint)
    documents = held_out_documents(item for name, item in action.inputs.items() if name.startswith("held_out/"))
    prompts = _prompts(documents)
    mine = evaluate(mill, plan, checkpoint, action.inputs["evaluation_sets"], documents, prompts, action.asset)
    config = mill.project.evaluation
    rights, groups = licences(mill, checkpoint), group_shares(mill, plan, action.asset)
    by_source: dict[str, float] = {row.source: row.trained or 0 for row in rights}
    trained = trained_groups(mill, checkpoint, groups) if plan.labels else by_source
    common: dict[str, Any] = {
        "lane": lane,
        "losses": loss_points(checkpoint),
        "mixture": mixture_rows(mill, checkpoint, plan),
        "splits": split_rows(mill, checkpoint, plan),
        "funnel": funnel(mill, plan),
        "licences": rights,
        "signals": (*share_tables(groups, trained), *signals(mill, plan)),
        "digests": digests(checkpoint, plan),
        "confidence": config.confidence,
    }
    files = {"documents": store_table(mill.store, mine.documents), "items": store_table(mill.store, mine.items)}
    files["shares"] = store_table(mill.store, shares_table(plain(groups, plan)))
    facts: dict[str, Any] = {}
    domains = domain_scores(mine.documents, config)
    checks = [scored_check(set(documents["domain"].to_pylist()), domains)]
    for domain in domains:
        if domain.bits_per_byte.value is not None:
            facts[f"bits_per_byte/{domain.domain}"] = round(domain.bits_per_byte.value, 6)
    tasks = task_scores(mine.items, config)
    facts |= {
        f"acc/{task.task}": round(task.acc.value, 6)
        for task in tasks
        if task.group is None and task.acc.value is not None
    }
    if kind == "base":
        generations = tuple(Generation(prompt, text) for prompt, text in zip(prompts, mine.texts, strict=True))
        report = BaseReport(
            model=model_facts(mill, checkpoint), domains=domains, tasks=tasks, generations=generations, **common
        )
        page, data = base_report_html(report), to_json(report)
    else:
        parent = action.inputs["parent"]
        before = evaluate(mill, plan, parent, action.inputs["evaluation_sets"], documents, prompts, action.asset)
        new = {part.domain for part in plan.parts if part.partition not in set(plan.seen or ())}
        compared, summaries = compare_domains(before.documents, mine.documents, config, new)
        texts = zip(prompts, mine.texts, before.texts, strict=True)
        comparison = ComparisonReport(
            round=action.partition or "",
            base_model=model_facts(mill, parent),
            round_model=model_facts(mill, checkpoint),
            domains=compared,
            summaries=summaries,
            tasks=compare_tasks(before.items, mine.items, config),
            generations=tuple(Generation(*item) for item in texts),
            **common,
        )
        page, data = comparison_report_html(comparison), to_json(comparison)
        gate = gate_check(compared, mill.project.lanes[lane].rounds.gates)
        checks.append(gate)
        facts["gates_passed"] = gate.passed
        facts |= {
            f"delta/{item.domain}": round(item.delta.value, 6) for item in compared if item.delta.value is not None
        }
        facts |= {f"verdict/{item.domain}": item.verdict for item in compared}
    files |= {"report": store_bytes(mill.store, page.encode()), "data": store_bytes(mill.store, data.encode())}
    return [Part(name="00000", files=files)], checks, facts


def scored_check(held_out: set[str], domains: tuple[DomainScore, ...]) -> CheckRecord:
    """Whether a report speaks of every domain that documents were held out of, and if not, why."""
    reasons = {item.domain: item.reason for item in domains if item.bits_per_byte.value is None}
    missing = held_out - {item.domain for item in domains} | reasons.keys()
    return CheckRecord(
        name="scored",
        passed=not missing,
        blocking=False,
        description=SCORED["scored"] + "".join(f"; {name}: {reasons.get(name)}" for name in sorted(missing)),
        values={"held_out_domains": len(held_out), "scored_domains": len(domains) - len(reasons)},
    )


def gate_check(domains: tuple[DomainComparison, ...], gates: GateConfig) -> CheckRecord:
    """Whether a round may be released: no old domain got worse by more than the gate, beyond the noise."""
    forgotten = {
        item.domain: round(item.delta.value, 4)
        for item in domains
        if item.role == "old"
        and item.delta.value is not None
        and item.delta.low is not None
        and item.delta.low > gates.max_forgetting
    }
    learned = [item.domain for item in domains if item.role == "new" and item.verdict == "learned"]
    passed = not forgotten and (bool(learned) or not gates.require_learning)
    return CheckRecord(
        name="gates",
        passed=passed,
        blocking=False,
        description=GATES["gates"] + (f"; forgotten: {', '.join(sorted(forgotten))}" if forgotten else ""),
        values={
            "forgotten_domains": len(forgotten),
            "learned_domains": len(learned),
            **{f"forgot/{k}": v for k, v in forgotten.items()},
        },
    )


class Evaluated:
    """Rows of one checkpoint: documents, items, and a continuation for each prompt."""

    def __init__(self, documents: pa.Table, items: pa.Table, texts: list[str]) -> None:
        self.documents, self.items, self.texts = documents, items, texts


def evaluate(
    mill: Mill, plan: Plan, checkpoint: Artifact, sets: Artifact, documents: pa.Table, prompts: list[str], stage: str
) -> Evaluated:
    """Score one checkpoint on held-out documents and tasks, in float32 on the plan's threads."""
    from pipelines.evaluation.scorer import text_encoder, torch_log_probs
    from pipelines.model.generate import generate
    from pipelines.model.hf_layout import load_model
    from pipelines.model.loop import deterministic
    from pipelines.tokens.tokenizer.bundle import TokenizerBundle
    from pipelines.tokens.tokenizer.encode import Encoder

    tokenizer = mill.store.open(plan.tokenizer.manifest)
    names = ("tokenizer.json", "tokenizer_config.json", "tokenizer_facts.json")
    encoder = Encoder.of(TokenizerBundle.from_files({name: tokenizer.bytes_of(name) for name in names}))
    config, end = mill.project.evaluation, plan.end_of_text_id
    with tempfile.TemporaryDirectory() as folder, deterministic(plan.train.threads):
        model = load_model(model_folder(mill, checkpoint, Path(folder)))
        length = model.config.max_positions
        log_probs, encode = torch_log_probs(model), text_encoder(encoder)

        def tell(done: int, total: int) -> None:
            mill.runner.tell(f"{stage} held-out tokens", done, total, done)

        rows = score_documents(documents, encode, log_probs, end, length, config, tell)
        scored = []
        for task in config.tasks:
            items = _decode_items(sets.bytes_of(f"items/{task.name}"))
            scored.append(score_items(task, items, encode, log_probs, end, length, config))
        texts = []
        for prompt in prompts:
            ids = encoder.encode(prompt)
            produced = generate(
                model, [[end, *ids]], GENERATED_TOKENS, temperature=TEMPERATURE, top_p=TOP_P, eos_token_id=end
            )
            texts.append(encoder.decode([int(token) for token in produced[0][1 + len(ids) :] if int(token) != end]))
    return Evaluated(rows, pa.concat_tables(scored) if scored else ITEM_SCORES.empty_table(), texts)


def _prompts(documents: pa.Table) -> list[str]:
    """The start of one held-out document of each domain, the lowest id."""
    chosen: dict[str, tuple[bytes, str]] = {}
    for row in documents.to_pylist():
        best = chosen.get(row["domain"])
        if best is None or row["id"] < best[0]:
            chosen[row["domain"]] = (row["id"], row["text"])
    return [chosen[domain][1][:PROMPT_CHARACTERS] for domain in sorted(chosen)]
