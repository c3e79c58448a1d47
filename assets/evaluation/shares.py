"""Topic, language and perplexity shares of what is trained on, out of the artifacts of batches; every report uses them.

The parts are remembered by what they were computed from, so a report that is made again, and the next one over the
same batches, reads nothing twice.
"""

from assets.model.lineage import upstream
from pipelines.core.artifacts import Artifact, read_table
from pipelines.corpus.filters.categories import SHARED
from pipelines.evaluation.shares import SHARES, WITHIN, Share, of_source, shares_part, summed
from resources.mill import Mill
from resources.stages import Action, Family


def batch_shares(
    mill: Mill, asset: str, kept: Artifact, signals: Artifact | None, within: str | None = None
) -> list[Share]:
    """Of one batch; `kept` are its token arrays, or its clean documents where nothing is tokenized.

    With a signal `within` the documents of each of its values are a source of their own, `<source>:<value>`.
    """
    key = kept.manifest.partition or ""
    computed = [] if signals is None else _families(signals)
    if signals is None or not computed:
        return []
    arrays = any("train_index" in part.files for part in kept.parts)
    roles = [("index", "kept", "train_index")] if arrays else [(role, "kept", role) for role in ("documents", "splits")]
    roles += [(family, "signals", family) for family in computed]
    config = {} if within is None else {WITHIN: within}
    family = Family(function=shares_part, config=config, algorithms=(SHARES,), identity=config, roles=tuple(roles))
    action = Action(asset, key, (SHARES,), {}, {"kept": kept, "signals": signals})
    parts = mill.runner.run_parts(action, "kept", [family], "shares")
    source = mill.project.source_of(key)
    tables = (read_table(mill.store.path_of(part.files["shares"].object)) for part in parts)
    name = key.partition(".")[0]
    if within is None:
        return of_source(tables, source.domain, name)
    rows = (row for table in tables for row in table.to_pylist())
    return summed(Share(source.domain, f"{name}:{row.pop(WITHIN)}", **row) for row in rows)


def _families(signals: Artifact) -> list[str]:
    """Families with shares that these signals, which may be older than the project file, were computed with."""
    there = {role for part in signals.parts for role in part.files}
    return [family for family in SHARED if family in there]


def current_signals(mill: Mill, arrays: Artifact) -> Artifact | None:
    """The newest signals of the batch that arrays were made of, when they are of the same documents.

    A classifier that was added after a batch was tokenized gives new signals and no new arrays: what the arrays were
    made from leads to signals without it.
    """
    made = upstream(mill.store, arrays, "quality_signals")
    newest = mill.store.latest("quality_signals", arrays.manifest.partition)
    if made is None or newest is None:
        return made
    same = newest.manifest.inputs["documents"].content == made.manifest.inputs["documents"].content
    return newest if same else made
