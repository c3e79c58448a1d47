"""Token arrays: flat arrays of token ids by batch, with an index from start to document."""

from collections.abc import Mapping

import pyarrow as pa

from assets.recipe import Made, Recipe, Scope
from assets.tokens.tokenizer import bundle_files
from pipelines.core.manifest import CheckRecord, conservation, total_counts
from pipelines.core.parts import PartResult
from pipelines.project import Project
from pipelines.tokens.arrays.build import TOKEN_ARRAYS
from pipelines.tokens.arrays.config import ArraysConfig
from pipelines.tokens.tokenizer.encode import ENCODE
from pipelines.tokens.tokenizer.text_only import TEXT_ONLY
from resources.mill import Mill
from resources.stages import Action, Family

ALGORITHMS = (TOKEN_ARRAYS, ENCODE, TEXT_ONLY)
CHECKS = {
    "conserved": "every clean document is in the training array, in the held-out array, or dropped for a named reason",
    "end_of_text_counted": "every end-of-text in the arrays is one that we wrote: one for each document",
}


def recipes(project: Project) -> list[Recipe]:
    """`<tokenizer>/token_arrays` for every tokenizer of the project."""
    return [
        Recipe(
            asset=f"{name}/token_arrays",
            group="tokens/arrays",
            description="uint16 or uint32 token ids of a batch, training and held-out apart, with `start -> document`.",
            kinds=frozenset({"numpy"}),
            scope=Scope.BATCHES,
            inputs={"documents": "clean_documents", "tokenizer": f"{name}/tokenizer"},
            algorithms=ALGORITHMS,
            make=_make,
            checks=CHECKS,
        )
        for name in project.tokenizers
    ]


def arrays_part(tables: Mapping[str, pa.Table], files: dict[str, bytes]) -> PartResult:
    """One part's arrays and indexes, roles `train`, `train_index`, `heldout`, `heldout_index`."""
    from pipelines.tokens.arrays.build import token_arrays_part
    from pipelines.tokens.tokenizer.bundle import TokenizerBundle

    result = token_arrays_part(tables, TokenizerBundle.from_files(files), ArraysConfig())
    return PartResult(
        tables={f"{split}_index": table for split, table in result.tables.items()},
        counts=result.counts,
        arrays=result.arrays,
    )


def _make(mill: Mill, action: Action) -> Made:
    tokenizer = action.inputs["tokenizer"]
    family = Family(
        function=arrays_part,
        config=bundle_files(tokenizer),
        algorithms=action.algorithms,
        identity={"tokenizer": tokenizer.content},
        roles=(("documents", "documents", "documents"), ("splits", "documents", "splits")),
    )
    parts = mill.runner.run_parts(action, "documents", [family])
    counts = total_counts(tuple(parts))
    documents = counts.get("train/documents", 0) + counts.get("heldout/documents", 0)
    ends = counts.get("train/end_of_text", 0) + counts.get("heldout/end_of_text", 0)
    counted = CheckRecord(
        name="end_of_text_counted",
        passed=documents == ends,
        description=CHECKS["end_of_text_counted"],
        values={"documents": documents, "end_of_text": ends},
    )
    return parts, [conservation(counts), counted], {}
