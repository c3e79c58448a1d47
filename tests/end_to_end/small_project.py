"""A whole project in miniature for end-to-end tests: real text, three batches and an inbox, 60,000 parameters.

Texts are the language reference topics that ship with Python and a few modules of its standard library. One run from
nothing to the base report takes about half a minute on two cores, most of it start-up and compiled kernels.
"""

import json
import os
from pathlib import Path

import yaml

STEPS = 200
ROUND_STEPS = 40


def topics() -> list[tuple[str, str]]:
    """(name, text) of the language reference topics, longest first: 60 to 70 documents of real English."""
    from pydoc_data.topics import topics as found

    return sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))


def write_documents(folder: Path, documents: list[tuple[str, str]]) -> None:
    """One JSONL file of documents."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"text": text, "url": f"https://docs.example/{name}"}) for name, text in documents]
    (folder / "part.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


def write_project(folder: Path, *, name: str = "small", steps: int = STEPS, round_steps: int = ROUND_STEPS) -> Path:
    """Write the data and the project file into `folder`; returns the file. `inbox/` is where new batches arrive."""
    found = topics()
    write_documents(folder / "manual" / "one", found[0::3])
    write_documents(folder / "manual" / "two", found[1::3])
    (folder / "inbox").mkdir(exist_ok=True)
    items = [
        {"id": f"q{n}", "question": f"Topic {n} of the reference is called", "choices": [a, b], "gold": 0}
        for n, ((a, _), (b, _)) in enumerate(zip(found[0:24], found[24:48], strict=True))
    ]
    (folder / "choices.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    project = {
        "project": name,
        "corpus": {
            "sources": {
                "manual": {
                    "domain": "manual",
                    "language": "en",
                    "licence": "PSF-2.0",
                    "reader": {"format": "jsonl", "url_field": "url"},
                    "batches": {"one": {"path": "manual/one"}, "two": {"path": "manual/two"}},
                },
                "code": {
                    "domain": "code",
                    "licence": "PSF-2.0",
                    "path": "stdlib:json",
                    "include": ["*.py"],
                    "reader": {"format": "folder"},
                },
                "news": {
                    "domain": "news",
                    "language": "en",
                    "licence": "PSF-2.0",
                    "inbox": "inbox",
                    "reader": {"format": "jsonl", "url_field": "url"},
                },
            },
            "extraction": {"part_bytes": 65536},
            "signals": {"language": None},
            "splits": {"max_documents": 4, "max_characters": 40000, "max_share": 0.2},
        },
        "evaluation": {
            "bootstrap_samples": 200,
            "min_documents": 2,
            "max_documents": 4,
            "tasks": [{"name": "names", "file": "choices.jsonl", "id": "id"}],
        },
        "tokenizers": {
            "bpe": {"batches": ["manual.one", "code.first"], "model": {"kind": "trained", "vocab_size": 1024}}
        },
        "lanes": {
            "tiny": {
                "tokenizer": "bpe",
                "shape": {"layers": 2, "hidden": 32, "intermediate": 88, "heads": 2, "max_positions": 64},
                "tokens_per_second": 20000,
                "base": _stage(steps, seed=1),
                "rounds": {**_stage(round_steps, seed=2), "min_new_tokens": 1000, "gates": {"max_forgetting": 10.0}},
            }
        },
    }
    path = folder / "project.yaml"
    path.write_text(yaml.safe_dump(project, sort_keys=False))
    return path


def arrive(folder: Path, batch: str = "late") -> str:
    """A new batch arrives in the inbox, sealed; returns its key."""
    write_documents(folder / "inbox" / batch, topics()[2::3])
    (folder / "inbox" / batch / "_SEALED").touch()
    return f"news.{batch}"


def environment(home: Path, project: Path, *, workers: int = 2) -> dict[str, str]:
    """The environment of a command that works in a home of its own."""
    places = ("GRISTMILL", "DAGSTER")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name == "GRISTMILL_SHARED_DATA" or not name.startswith(places)
    }
    return {
        **kept,
        "GRISTMILL_HOME": str(home),
        "GRISTMILL_PROJECT": str(project),
        "GRISTMILL_WORKERS": str(workers),
    }


def _stage(steps: int, seed: int) -> dict[str, object]:
    return {
        "mixture": {"max_epochs": 100, "replay": 0.25, "seed": seed},
        "train": {
            "sequence_length": 64,
            "batch_sequences": 4,
            "micro_batch_sequences": 4,
            "steps": steps,
            "checkpoint_every": 20,
            "threads": 1,
            "seed": seed,
        },
    }
