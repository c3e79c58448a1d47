"""Tokenizers: trained on named batches or imported; immutable under their name."""

import json
from typing import Any

from assets.recipe import Made, NotReadyError, Recipe, Scope
from pipelines.core.artifacts import Artifact
from pipelines.core.manifest import CheckRecord, Part
from pipelines.corpus.acquisition.packages import resolve_path
from pipelines.corpus.cleaning.edits import check_placeholders
from pipelines.project import Project
from pipelines.tokens.tokenizer.config import ImportedTokenizer
from pipelines.tokens.tokenizer.imported import IMPORT
from pipelines.tokens.tokenizer.report import REPORT
from pipelines.tokens.tokenizer.sample import SAMPLE
from pipelines.tokens.tokenizer.text_only import TEXT_ONLY
from pipelines.tokens.tokenizer.train import TRAIN
from resources.mill import Mill
from resources.stages import Action, store_bytes


def recipes(project: Project) -> list[Recipe]:
    """`<tokenizer>/tokenizer` for every tokenizer of the project."""
    return [
        _recipe(name, section.model.kind == "trained", section.batches) for name, section in project.tokenizers.items()
    ]


def bundle_files(artifact: Artifact) -> dict[str, bytes]:
    """File name -> bytes of a tokenizer artifact."""
    part = artifact.parts[0]
    return {role: artifact.path(part, role).read_bytes() for role in part.files if role.startswith("tokenizer")}


def _recipe(name: str, trained: bool, batches: tuple[str, ...]) -> Recipe:
    def config(project: Project, key: str | None) -> dict[str, Any]:
        return project.tokenizers[name].model.identity()

    def pinned(mill: Mill, key: str | None) -> dict[str, Artifact]:
        section = mill.project.tokenizers[name]
        if isinstance(section.model, ImportedTokenizer):
            return {}
        keys = section.batches or tuple(mill.sealed())
        if not keys:
            raise NotReadyError(f"{name}/tokenizer: no batch is sealed yet, so there is no text to train on")
        return {f"documents/{batch}": mill.get("clean_documents", batch) for batch in keys}

    def settled(mill: Mill, key: str | None) -> Artifact | None:
        return mill.store.latest(f"{name}/tokenizer")

    def make(mill: Mill, action: Action) -> Made:
        from pipelines.tokens.tokenizer.imported import import_tokenizer
        from pipelines.tokens.tokenizer.report import tokenizer_report
        from pipelines.tokens.tokenizer.sample import documents_of, sample_documents
        from pipelines.tokens.tokenizer.train import train_tokenizer

        model = mill.project.tokenizers[name].model
        if isinstance(model, ImportedTokenizer):
            path = resolve_path(model.location, mill.loaded.path.parent)
            beside = path.with_name("tokenizer_config.json")
            bundle = import_tokenizer(path.read_bytes(), model, beside.read_bytes() if beside.exists() else None)
            report: dict[str, Any] = {"round_trip": {"documents": 0, "failures": 0}}
        else:
            tables = (
                table
                for item in action.inputs.values()
                for _, table in item.tables("documents", ["id", "domain", "text"])
            )
            sample = sample_documents(documents_of(tables), model)
            bundle = train_tokenizer(sample, model)
            report = tokenizer_report(bundle, sample.documents)
        added = json.loads(bundle.tokenizer_json)["added_tokens"]
        control = [token["content"] for token in added if token["id"] in bundle.facts.control_ids]
        placeholders = mill.project.corpus.cleaning.edits.placeholders
        check_placeholders({str(kind): text for kind, text in placeholders.items()}, control)
        files = {role: store_bytes(mill.store, data) for role, data in bundle.files().items()}
        files["quality.json"] = store_bytes(mill.store, json.dumps(report, sort_keys=True, indent=1).encode())
        failures = report["round_trip"]["failures"]
        checks = [
            CheckRecord(
                name="lossless",
                passed=failures == 0,
                description="decoding what was encoded gives every sampled document back",
                values={"documents": report["round_trip"]["documents"], "failures": failures},
            )
        ]
        facts = {"vocab_size": bundle.facts.vocab_size, "end_of_text": bundle.facts.end_of_text}
        facts |= {
            f"bytes_per_token/{domain}": item["bytes_per_token"]
            for domain, item in report.get("domains", {}).items()
            if "bytes_per_token" in item
        }
        return [Part(name="00000", files=files)], checks, facts

    return Recipe(
        asset=f"{name}/tokenizer",
        group="tokens/tokenizer",
        description="Byte-level BPE with its quality report; immutable under its name, so another one is another name.",
        kinds=frozenset({"huggingface"}),
        scope=Scope.ONCE,
        inputs={"documents": "clean_documents"},
        algorithms=(SAMPLE, TRAIN, TEXT_ONLY, REPORT) if trained else (IMPORT, TEXT_ONLY),
        config=config,
        pinned=pinned,
        settled=settled,
        make=make,
        artifact_class="recorded",
        checks={"lossless": "decoding what was encoded gives every sampled document back"},
        immutable=True,
        batches=batches,
    )
