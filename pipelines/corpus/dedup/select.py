"""Documents and matches of one part in, the documents that lead their groups out; nothing is computed here."""

from collections.abc import Mapping
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.fingerprint import Algorithm
from pipelines.core.parts import PartResult
from pipelines.corpus.dedup.config import DedupConfig

SELECTION: Final = Algorithm("dedup-selection", 1)


def deduplicated_part(tables: Mapping[str, pa.Table], config: DedupConfig) -> PartResult:
    """Drop the rows of `documents` that `matches` names; `matches` may cover the whole batch.

    `config` decides nothing more at this point: the matches carry the decision.
    """
    documents, matches = tables["documents"], tables["matches"]
    counts = {"rows_in": len(documents)}
    dropped = pc.is_in(documents["id"], value_set=matches["id"].combine_chunks())
    kept = documents.filter(pc.invert(dropped))
    counts["kept"] = len(kept)
    for kind in ("exact", "near"):
        of_kind = matches.filter(pc.equal(matches["kind"], kind))["id"].combine_chunks()
        counts[f"dropped/{kind}"] = pc.sum(pc.is_in(documents["id"], value_set=of_kind)).as_py() or 0
    return PartResult({"documents": kept}, counts)
