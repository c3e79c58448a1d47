import pyarrow as pa

from pipelines.corpus.dedup.config import DedupConfig
from pipelines.corpus.dedup.matching import MATCH_SCHEMA
from pipelines.corpus.dedup.select import deduplicated_part
from tests.pipelines.corpus.dedup import reference


def test_matches_of_the_whole_batch_select_in_each_part() -> None:
    parts = [["one two three four five", "ONE two, three four five", "..."], ["six", "one two three four five", "six"]]
    config = DedupConfig()
    (result,), _ = reference.match_texts([parts], config)
    kept: list[str] = []
    for number, part in enumerate(parts):
        ids = [(3 * number + row).to_bytes(16, "big") for row in range(3)]
        documents = reference.documents_table(part, ids)
        selected = deduplicated_part({"documents": documents, "matches": result.matches}, config)
        counts = selected.counts
        assert counts["rows_in"] == 3 == counts["kept"] + counts["dropped/exact"] + counts["dropped/near"]
        assert selected.tables["documents"].schema == documents.schema
        assert selected.tables["documents"]["id"].equals(documents["id"].filter(pa.array(result.kept[number])))
        kept += selected.tables["documents"]["text"].to_pylist()
    assert kept == ["one two three four five", "...", "six"]


def test_no_matches_keep_everything() -> None:
    documents = reference.documents_table(["a", "b"])
    matches = MATCH_SCHEMA.empty_table()
    result = deduplicated_part({"documents": documents, "matches": matches}, DedupConfig())
    assert result.tables["documents"].equals(documents)
    assert result.counts == {"rows_in": 2, "kept": 2, "dropped/exact": 0, "dropped/near": 0}
