"""A small project with bands of signals, bad words and words of Chinese."""

import json
from pathlib import Path
from typing import Any

MENU = "首页 关于我们 联系方式 登录 注册\n" * 20


def project(language_model: str = "lid.176.ftz", **changes: object) -> dict[str, Any]:
    """Clean texts, a pool that is judged by their bands, and a list of bad words."""
    source = {"language": "zh", "licence": "CC0-1.0", "reader": {"format": "jsonl"}, "domain": "zh"}
    inside = {"name": "usual", "signal": "clean_outside", "op": "<=", "value": 0, "languages": ["zh"]}
    return {
        "project": "bands",
        "corpus": {
            "sources": {
                "wiki": {**source, "path": "wiki"},
                "web": {
                    **source,
                    "path": "web",
                    "filter": {"presets": ["fineweb2_chinese", "c4_bad_words"], "extra": [inside]},
                },
            },
            "signals": {
                "statistics": {"unspaced": "words"},
                "surface": None,
                "language": {"model": language_model},
                "bad_words": {"folder": "bad"},
            },
            "models": {
                "bands": {
                    "clean": {
                        "reference": [{"batches": ["wiki.first"]}],
                        "pool": [{"batches": ["web.first"]}],
                        "min_documents": 50,
                        **changes,
                    }
                }
            },
        },
    }


def write(folder: Path, content: dict[str, Any]) -> Path:
    """The project file in its folder; JSON is YAML."""
    path = folder / "project.yaml"
    path.write_text(json.dumps(content, indent=1), "utf-8")
    return path
