from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core.fingerprint import rows_digest
from pipelines.core.seeds import generator
from pipelines.corpus.dedup.config import DedupConfig
from pipelines.corpus.dedup.index import in_memory, skip_entry
from pipelines.corpus.dedup.matching import MATCH_SCHEMA, BatchSignatures, match_batch
from pipelines.corpus.dedup.minhash import signatures_part
from pipelines.corpus.dedup.shingles import shingle_sets
from pipelines.corpus.dedup.texts import StaleTextError
from tests.pipelines.corpus.dedup import reference
from tests.pipelines.corpus.dedup.samples import records, texts

DEFAULT = DedupConfig()


@st.composite
def corpora(draw: st.DrawFn) -> list[str]:
    """Families of texts over a tiny alphabet: copies, edits, cuts, case changes, short and wordless ones."""
    words = "abcdefghijklmnop中文字"
    found: list[str] = ["", "..."]
    for _ in range(draw(st.integers(1, 3))):
        base = draw(st.lists(st.sampled_from(words), min_size=0, max_size=24))
        for _ in range(draw(st.integers(1, 5))):
            copy = list(base)
            for _ in range(draw(st.integers(0, 3))):
                if copy:
                    copy[draw(st.integers(0, len(copy) - 1))] = draw(st.sampled_from(words))
            cut = draw(st.integers(0, 3))
            found.append(draw(st.sampled_from([" ", ", ", "\n"])).join(copy[cut:]))
    return draw(st.permutations(found))


settings_of = st.builds(
    DedupConfig,
    threshold=st.sampled_from([0.3, 0.5, 0.8, 1.0]),
    ngram=st.integers(1, 3),
    ngram_unspaced=st.integers(1, 3),
    bands=st.integers(1, 6),
    rows=st.integers(1, 2),
    max_candidates=st.sampled_from([1, 2, 100]),
    policy=st.sampled_from(["first", "longest"]),
    window_shingles=st.sampled_from([1, 30, 10**6]),
    lookup_documents=st.sampled_from([1, 3, 10**6]),
)


def cut(corpus: list[str], cuts: list[int]) -> list[list[str]]:
    edges = [0, *sorted(min(c, len(corpus)) for c in cuts), len(corpus)]
    return [corpus[a:b] for a, b in pairwise(edges)]


@settings(max_examples=100, deadline=None)
@given(corpus=corpora(), cuts=st.lists(st.integers(0, 15), max_size=3), config=settings_of)
def test_greedy_equals_brute_force(corpus: list[str], cuts: list[int], config: DedupConfig) -> None:
    batches = cut(corpus, cuts)
    results, _ = reference.match_texts([[batch] for batch in batches], config)
    assert reference.found(results) == reference.greedy(batches, config)
    for batch, result in zip(batches, results, strict=True):
        counts = result.counts
        assert counts["rows_in"] == len(batch) == counts["kept"] + counts["dropped/exact"] + counts["dropped/near"]
        assert counts["kept"] == int(result.kept[0].sum()) == len(result.entry["leaders"])


@settings(max_examples=50, deadline=None)
@given(corpus=corpora(), cuts=st.lists(st.integers(0, 15), max_size=6), config=settings_of)
def test_any_cut_into_batches_keeps_the_same_records(corpus: list[str], cuts: list[int], config: DedupConfig) -> None:
    config = config.model_copy(update={"policy": "first"})
    whole, _ = reference.match_texts([[corpus]], config)
    parts, _ = reference.match_texts([[batch] for batch in cut(corpus, cuts)], config)
    assert reference.found(whole) == reference.found(parts)


@settings(max_examples=40, deadline=None)
@given(corpus=corpora(), cuts=st.lists(st.integers(0, 15), max_size=3), config=settings_of)
def test_windows_change_nothing(corpus: list[str], cuts: list[int], config: DedupConfig) -> None:
    batches = [[batch] for batch in cut(corpus, cuts)]
    wide = config.model_copy(update={"window_shingles": 10**7, "lookup_documents": 10**6})
    for a, b in zip(reference.match_texts(batches, config)[0], reference.match_texts(batches, wide)[0], strict=True):
        assert a.counts == b.counts
        assert rows_digest(a.matches) == rows_digest(b.matches)
        assert {role: rows_digest(t) for role, t in a.entry.items()} == {
            role: rows_digest(t) for role, t in b.entry.items()
        }


def test_four_editions_of_a_novel_give_its_chapters() -> None:
    """61 chapters in 4 editions, similarity 0.81 to 1.00 inside a chapter, at most 0.002 between chapters."""
    rows = records("neardup/pride_and_prejudice_editions")
    (result,), _ = reference.match_texts([[[row["text"] for row in rows]]], DEFAULT)
    matches = reference.found([result])
    assert all(rows[document]["cluster"] == rows[leader]["cluster"] for document, leader, _, _ in matches)
    kept = [rows[number]["cluster"] for number in np.flatnonzero(result.kept[0])]
    assert len(kept) == len(set(kept)) == 61
    assert len(matches) == 183


def test_recall_against_all_pairs() -> None:
    """Greedy over every pair, no bands: nothing else is dropped, and of what it drops the share that LSH predicts."""
    column = [
        *texts("neardup/pride_and_prejudice_editions"),
        *texts("mixture/math_science")[7590:7760],
    ]
    (result,), _ = reference.match_texts([[column]], DEFAULT)
    sets = shingle_sets(column, DEFAULT)
    members = [set(sets.values[a:b].tolist()) for a, b in pairwise(sets.offsets)]
    kept: list[int] = []
    chances: list[float] = []
    expected: set[int] = set()
    for number, a in enumerate(members):
        similar = [members[leader] for leader in kept if 0.8 * len(a) <= len(members[leader]) <= len(a) / 0.8]
        overlaps = [(len(a & b), len(a) + len(b)) for b in similar]
        best = max((both / (total - both) for both, total in overlaps), default=0.0)
        if best >= 0.8:
            expected.add(number)
            chances.append(1 - (1 - best**8) ** 14)
        else:
            kept.append(number)
    dropped = set(np.flatnonzero(~result.kept[0]).tolist())
    assert len(expected) > 180
    assert dropped <= expected
    assert len(dropped) >= sum(chances) - 4 * np.sqrt(sum(c * (1 - c) for c in chances))


def test_duplicates_of_the_mixture_are_what_a_reader_calls_duplicates() -> None:
    """Looked at by eye: questions pasted twice, a logic text's section in two chapters, two dumps of one article."""
    column = [*texts("mixture/math_science"), *texts("mixture/wiki_en")]
    (result,), _ = reference.match_texts([[column]], DEFAULT)
    pairs = {(a, b): (kind, similarity) for a, b, kind, similarity in reference.found([result])}
    assert pairs[8210, 8203] == ("exact", 1.0)
    assert column[8210] == column[8203]
    assert pairs[7754, 7601][0] == "near"
    assert "Section: proof-theoretic-notions" in column[7754]
    assert "Section: proof-theoretic-notions" in column[7601]
    titles = {(column[a][:20], column[b][:20]) for (a, b), _ in pairs.items() if a >= 8263}
    assert titles == {
        ("Actresses (Catalan: ", "Actresses (Catalan: "),
        ("This is a list of ch", "This is a list of ch"),
    }


def test_part_order_and_cuts_into_parts_do_not_matter() -> None:
    """Rows inside a part are sorted by id, so the record order comes from the positions alone."""
    column = texts("neardup/pride_and_prejudice_editions")
    table = reference.documents_table(column)
    records_ = np.stack([np.arange(len(column)) // 50, np.arange(len(column)) % 50], axis=1)

    def kept(chunks: list[np.ndarray], config: DedupConfig) -> tuple[set[bytes], set[tuple[bytes, bytes]]]:
        tables = [table.take(pa.array(chunk)) for chunk in chunks]
        parts = [signatures_part({"documents": t}, config).tables["signatures"] for t in tables]
        batch = BatchSignatures(0, parts, [records_[chunk] for chunk in chunks])

        def read(_: int, part: int, rows: list[int]) -> pa.ChunkedArray:
            return tables[part]["text"].take(pa.array(rows))

        result = match_batch(batch, [], read, config)
        ids = [t["id"].filter(pa.array(mask)) for t, mask in zip(tables, result.kept, strict=True)]
        pairs = {(m["id"], m["leader_id"]) for m in result.matches.to_pylist()}
        return {value for column_ in ids for value in column_.to_pylist()}, pairs

    (plain,), _ = reference.match_texts([[column]], DEFAULT, table["id"].to_pylist())
    in_order = set(table["id"].filter(pa.array(plain.kept[0])).to_pylist())
    assert kept([np.arange(len(column))], DEFAULT)[0] == in_order
    stream = generator(1, "parts")
    for policy in ("first", "longest"):
        config = DedupConfig(policy=policy)
        expected = kept([np.arange(len(column))], config)
        for _ in range(2):
            shuffled = stream.permutation(len(column))
            assert kept(np.array_split(shuffled, 5), config) == expected


def test_longest_keeps_the_longest_of_a_batch_but_flips_no_earlier_leader() -> None:
    words = [f"word{n}" for n in range(60)]
    short, long, longer = (" ".join(words[:n]) for n in (52, 56, 60))
    config = DedupConfig(policy="longest", bands=40, rows=2)
    (one,), _ = reference.match_texts([[[short, longer, long]]], config)
    assert one.kept[0].tolist() == [False, True, False]
    (_, second), _ = reference.match_texts([[[short]], [[longer]]], config)
    assert second.kept[0].tolist() == [False]


def test_ten_thousand_copies_cost_nothing() -> None:
    text = texts("mixture/web_en", 1)[0]
    copies = [text] * 5000 + [text.upper()] * 5000
    (first, second), _ = reference.match_texts([[copies], [copies]], DEFAULT)
    assert first.counts["kept"] == 1
    assert second.counts["kept"] == 0
    for result in (first, second):
        assert result.counts["pairs_compared"] == result.counts["documents_read"] == 0
        assert set(result.matches["leader_id"].to_pylist()) == {bytes(16)}
        assert set(result.matches["leader_ordinal"].to_pylist()) == {0}


def test_near_copies_of_one_leader_cost_one_comparison_each() -> None:
    words = texts("mixture/web_en", 2)[1].split()
    copies = [" ".join([*words[: 3 * n % len(words)], f"edit{n}", *words[3 * n % len(words) :]]) for n in range(600)]
    (result,), _ = reference.match_texts([[copies]], DEFAULT)
    assert result.counts["kept"] == 1
    assert result.counts["pairs_compared"] <= 600
    assert result.counts["pairs_rejected"] == 0


def test_a_template_family_is_bounded_by_max_candidates() -> None:
    """Pages that share a third of their words share bands, yet are no duplicates: comparisons stay linear."""
    frame = [f"menu{n}" for n in range(40)]
    pages = [" ".join([*frame, *(f"page{p}word{n}" for n in range(20))]) for p in range(200)]
    config = DedupConfig(max_candidates=10, bands=60, rows=2)
    (result,), _ = reference.match_texts([[pages]], config)
    assert result.counts["kept"] == 200
    assert result.counts["documents_capped"] >= 180
    assert result.counts["pairs_compared"] <= 200 * 10
    (free,), _ = reference.match_texts([[pages]], config.model_copy(update={"max_candidates": 1000}))
    assert free.counts["documents_capped"] == 0
    assert free.counts["pairs_compared"] > 15_000


@pytest.mark.parametrize("window_shingles", [1, 1000])
@pytest.mark.parametrize("batches", [[3], [2, 1], [1, 1, 1]])
def test_candidates_of_impossible_size_take_no_place(batches: list[int], window_shingles: int) -> None:
    """A long text that shares a band with C, yet cannot reach 0.8 by its size alone, does not use up the one place."""
    words = [f"w{n}" for n in range(100)]
    column = [" ".join(words), " ".join(words[:20]), " ".join(words[:19])]
    config = DedupConfig(ngram=1, rows=1, bands=100, max_candidates=1, window_shingles=window_shingles)
    edges = [0, *np.cumsum(batches).tolist()]
    results, _ = reference.match_texts([[column[a:b]] for a, b in pairwise(edges)], config)
    assert reference.found(results) == [(2, 1, "near", 0.95)]
    assert sum(result.counts["pairs_compared"] for result in results) == 1


@pytest.mark.parametrize("window_shingles", [1, 1000])
@pytest.mark.parametrize("batches", [[4], [3, 1], [2, 2], [1, 1, 1, 1]])
def test_the_earliest_candidates_are_compared(batches: list[int], window_shingles: int) -> None:
    """Three leaders share bands with the last text; only the first is similar, and there is place for one."""
    words = [f"w{n}" for n in range(200)]
    column = [" ".join(words[start : start + 100]) for start in (0, 30, 60)] + [" ".join(words[2:100])]
    config = DedupConfig(ngram=1, rows=1, bands=100, max_candidates=1, window_shingles=window_shingles)
    edges = [0, *np.cumsum(batches).tolist()]
    results, _ = reference.match_texts([[column[a:b]] for a, b in pairwise(edges)], config)
    assert reference.found(results) == [(3, 0, "near", 0.98)]


def test_similarity_is_not_chained() -> None:
    """A ~ B ~ C with A unlike C: B goes to A, C stays."""
    words = [f"w{n}" for n in range(140)]
    a, b, c = (" ".join(words[start : start + 100]) for start in (0, 10, 20))
    config = DedupConfig(threshold=0.75, bands=60, rows=2)
    (result,), _ = reference.match_texts([[[a, b, c]]], config)
    assert result.kept[0].tolist() == [True, False, True]


def test_a_skipped_batch_and_an_empty_one() -> None:
    text = "one two three four five six seven"
    (first,), entries = reference.match_texts([[[text]]], DEFAULT)
    entries.append(in_memory(1, "skip", skip_entry(1, DEFAULT, entries[0].digest, "source withdrawn")))
    part = signatures_part({"documents": reference.documents_table([text], [b"x" * 16])}, DEFAULT).tables["signatures"]
    later = match_batch(BatchSignatures(2, [part], [np.zeros((1, 2), np.int64)]), entries, lambda *_: [], DEFAULT)
    assert later.matches["leader_id"].to_pylist() == [bytes(16)]
    assert later.entry["chain"].to_pylist()[0]["predecessor"] == "skip"
    empty = match_batch(BatchSignatures(2, [], []), entries, lambda *_: [], DEFAULT)
    assert empty.matches.schema == MATCH_SCHEMA
    assert empty.counts["rows_in"] == 0
    assert first.counts["kept"] == 1


def test_mistakes_are_named() -> None:
    column = texts("neardup/pride_and_prejudice_editions")
    part = signatures_part({"documents": reference.documents_table(column)}, DEFAULT).tables["signatures"]
    rows = np.stack([np.zeros(len(column), np.int64), np.arange(len(column))], axis=1)
    batch = BatchSignatures(0, [part], [rows])
    with pytest.raises(StaleTextError, match="recompute the signatures"):
        match_batch(batch, [], lambda _, __, wanted: ["edited"] * len(wanted), DEFAULT)
    with pytest.raises(StaleTextError, match="asked for"):
        match_batch(batch, [], lambda *_: [], DEFAULT)
    with pytest.raises(ValueError, match="positions have shape"):
        match_batch(BatchSignatures(0, [part], [rows[:5]]), [], lambda *_: [], DEFAULT)
    with pytest.raises(ValueError, match="position arrays"):
        match_batch(BatchSignatures(0, [part], []), [], lambda *_: [], DEFAULT)
    _, entries = reference.match_texts([[["a b c"]]], DEFAULT)
    with pytest.raises(ValueError, match="earlier entries only"):
        match_batch(batch, entries, lambda *_: [], DEFAULT)
