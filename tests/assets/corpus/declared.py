"""Whether the columns that the project file promises are those that a run has written."""

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.core.artifacts import Artifact
from pipelines.corpus.filters.columns import MARK, NUMBER, TEXT, signal_families
from resources.mill import Mill


def kind_of(found: pa.DataType) -> pa.DataType:
    """What a rule sees of a column."""
    if pa.types.is_integer(found) or pa.types.is_floating(found):
        return NUMBER
    return {pa.large_string(): TEXT, pa.bool_(): MARK}[found]


def compare_columns(mill: Mill, signals: Artifact) -> set[str]:
    """Assert that each family of each part has the declared columns in their order; returns the families."""
    corpus = mill.project.corpus
    source = mill.project.source_of(signals.manifest.partition or "")
    declared = signal_families(corpus.signals, corpus.models, source.metadata)
    for part in signals.parts:
        written = {role: pq.read_schema(signals.path(part, role)) for role in part.files if role != "metadata_fit"}
        if written:
            assert {
                role: {field.name: kind_of(field.type) for field in list(schema)[2:]}
                for role, schema in written.items()
            } == declared
            assert [schema.names for schema in written.values()] == [
                ["id", "text_hash", *declared[role]] for role in written
            ]
    return set(declared)
