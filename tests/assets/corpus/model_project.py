"""A small project with every kind of model, over files that `write_texts` makes of real text."""

import json
from pathlib import Path

from tests.pipelines.corpus.filters.corpus import mixture

SMALL = {"dimension": 8, "buckets": 5000, "max_characters": 500, "epochs": 15}


def write_texts(folder: Path) -> None:
    """Three folders of documents and a file of labelled sentences."""
    for name, texts in {
        "web": mixture("web_en", 120, 3),
        "math": mixture("math_science", 120, 60),
        "chinese": mixture("zh_general", 60, 20),
        "late": mixture("web_en", 20, 7),
    }.items():
        (folder / name).mkdir(parents=True)
        lines = [json.dumps({"text": text[:3000]}, ensure_ascii=False) + "\n" for text in texts]
        (folder / name / "part.jsonl").write_text("".join(lines), "utf-8")
    sentences = [("en", text) for text in mixture("web_en", 110)] + [
        ("zh", text) for text in mixture("zh_general", 110)
    ]
    rows = [json.dumps({"lang": lang, "text": text[:60]}, ensure_ascii=False) + "\n" for lang, text in sentences]
    (folder / "languages.jsonl").write_text("".join(rows), "utf-8")


def write_project(folder: Path, language_model: str = "lid.176.ftz") -> Path:
    """The project file, beside the texts."""
    source = {"language": "en", "licence": "CC0-1.0", "reader": {"format": "jsonl"}}
    rule = {"name": "mathematical", "signal": "mathlike_rank", "op": ">=", "value": 0.5}
    here, pool = [{"batches": ["math.first"]}], [{"batches": ["web.first"]}]
    opinions = {"annotations": "opinions", "label_field": "label", "labels": {"good": "good"}}
    project = {
        "project": "models",
        "corpus": {
            "sources": {
                "web": {**source, "domain": "web", "batches": {"first": {"path": "web"}, "late": {"path": "late"}}},
                "math": {**source, "domain": "math", "path": "math", "filter": {"extra": [rule]}},
                "chinese": {**source, "domain": "chinese", "language": "zh", "path": "chinese"},
            },
            "signals": {"statistics": None, "language": {"model": language_model}},
            "models": {
                "annotations": {"opinions": {"labels": ["good", "bad"], "folder": "opinions"}},
                "classifiers": {
                    "mathlike": {"kind": "quality", "positive": here, "negative": pool, "languages": ["en"], **SMALL},
                    "liked": {
                        "kind": "quality",
                        "positive": [*here, opinions],
                        "negative": pool,
                        "pseudo_labels": {"batches": ["web.first"], "confidence": 0.6},
                        **SMALL,
                    },
                    "subjects": {
                        "kind": "topics",
                        "examples": [
                            {"batches": ["math.first"], "label": "mathematics"},
                            {"batches": ["web.first"], "label": "web"},
                        ],
                        **SMALL,
                    },
                },
                "ensembles": {"best": {"members": ["mathlike", "liked"], "method": "mean_rank"}},
                "subsets": {"buying": {"query": "buy price shipping", "background": pool}},
                "language_models": {
                    "english": {"texts": here, "reference": pool, "order": 3, "languages": ["en"]},
                    "han": {
                        "texts": [{"batches": ["chinese.first"]}],
                        "held_out": 0.3,
                        "languages": ["zh"],
                        "estimator": "auto",
                    },
                },
                "language_calibration": {"examples": [{"path": "languages.jsonl", "label_field": "lang"}]},
            },
        },
    }  # fmt: skip
    path = folder / "project.yaml"
    path.write_text(json.dumps(project, indent=1), "utf-8")  # JSON is YAML
    return path
