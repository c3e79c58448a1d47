import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipelines.core.fingerprint import rows_digest
from pipelines.corpus.cleaning.config import SplitConfig
from pipelines.corpus.cleaning.holdout import (
    candidates_of,
    choose_heldout,
    heldout_pool,
    index_heldout,
    shingle_table,
    similar_to_heldout,
    split_part,
)
from pipelines.corpus.cleaning.verify_splits import check_splits
from tests.pipelines.corpus.cleaning.records import documents, records

CONFIG = SplitConfig()


def choose(batch: pa.Table, config: SplitConfig = CONFIG, earlier: tuple[pa.Table, ...] = ()) -> pa.Table:
    """The whole choice over one batch; returns the held-out rows of `batch`."""
    candidates = candidates_of(batch)
    domain = batch["domain"][0].as_py()
    pool = heldout_pool(candidates, domain, config)
    rows = batch.take(pc.index_in(pool["id"], batch["id"].combine_chunks()))
    chosen = choose_heldout(pool, shingle_table(rows, config), earlier, candidates, domain, config)
    return batch.take(pc.index_in(chosen["id"], batch["id"].combine_chunks()))


def editions() -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {}
    for record in records("neardup/pride_and_prejudice_editions.jsonl.zst"):
        texts.setdefault(record["edition"], []).append(record["text"])
    return texts


def word_shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[a-z0-9]+", text.lower())
    return set(zip(*(words[n:] for n in range(5)), strict=False))


def test_one_edition_held_out_makes_the_other_three_near_heldout() -> None:
    """61 chapters in four editions with Jaccard 0.81 to 1.00 inside a chapter: all 183 others must be kept out."""
    every = editions()
    names = sorted(every)
    heldout = documents(every[names[0]], key="pride.held", domain="books")
    others = documents([text for name in names[1:] for text in every[name]], key="pride.rest", domain="books")
    unrelated = documents([r["text"] for r in records("mixture/books_en.jsonl.zst", 40)], key="books.other")
    shingles = shingle_table(heldout, CONFIG)
    part = split_part(
        {"documents": pa.concat_tables([heldout, others, unrelated]), "heldout_shingles": shingles}, CONFIG
    )
    split = part.tables["splits"]["split"].to_pylist()
    assert split[:61] == ["heldout"] * 61 and split[61:244] == ["near_heldout"] * 183
    assert part.counts["split/near_heldout"] >= 183 and part.counts["rows_in"] == 284
    nearest = part.tables["splits"]["nearest"].to_pylist()
    assert nearest[61:122] == heldout["id"].to_pylist()


def test_similarity_equals_brute_force_over_word_tuples() -> None:
    every = editions()
    one, two = (sorted(every)[at] for at in (0, 3))
    ascii_only = [[t.encode("ascii", "ignore").decode() for t in every[name][:12]] for name in (one, two)]
    index = index_heldout(shingle_table(documents(ascii_only[0]), CONFIG))
    found = similar_to_heldout(ascii_only[1], index, CONFIG)
    sets = [[word_shingles(text) for text in texts] for texts in ascii_only]
    table = np.array([[len(a & b) / len(a | b) for b in sets[0]] for a in sets[1]])
    assert found.nearest.tolist() == table.argmax(axis=1).tolist()
    assert found.jaccard == pytest.approx(table.max(axis=1))
    assert found.similar.tolist() == (table.max(axis=1) >= 0.8).tolist()


def test_a_ratio_equal_to_the_threshold_is_similar() -> None:
    """12 shared shingles of 15: the quotient 12/15 is the double 0.8."""
    words = [f"w{n}" for n in range(40)]
    held = " ".join(words[:16])
    index = index_heldout(shingle_table(documents([held]), CONFIG))
    text = " ".join([*words[:16], "x", "y", "z"])
    found = similar_to_heldout([text, " ".join([*words[:16], "x", "y", "z", "u"]), "", "none of it"], index, CONFIG)
    assert found.jaccard.tolist() == [0.8, 0.75, 0.0, 0.0]
    assert found.similar.tolist() == [True, False, False, False] and found.nearest.tolist() == [0, 0, -1, -1]


@pytest.mark.parametrize("domain", ["web_en", "zh_general", "code", "math_science"])
def test_the_split_of_a_real_domain_passes_the_independent_check(domain: str) -> None:
    texts = [r["text"] for r in records(f"mixture/{domain}.jsonl.zst", 1000)]
    batch = documents(texts + texts[:50], key=f"{domain.replace('_', '-')}.one", domain=domain)
    heldout = choose(batch)
    total = pc.sum(pc.utf8_length(batch["text"])).as_py()
    assert 20 < len(heldout) <= min(200, len(batch) // 10)
    assert pc.sum(pc.utf8_length(heldout["text"])).as_py() <= min(1_000_000, total // 10)
    part = split_part({"documents": batch, "heldout_shingles": shingle_table(heldout, CONFIG)}, CONFIG)
    splits = part.tables["splits"]
    assert part.counts["split/heldout"] == len(heldout)
    train = batch.filter(pc.equal(splits["split"], "train"))
    assert check_splits([train], heldout, 0.8, CONFIG.ngram, CONFIG.ngram_unspaced) == []
    near = batch.filter(pc.equal(splits["split"], "near_heldout"))
    violations = check_splits([near], heldout, 0.8, CONFIG.ngram, CONFIG.ngram_unspaced)
    assert {violation.train for violation in violations} == set(near["id"].to_pylist())


def test_the_choice_is_the_same_for_any_order_of_parts_and_another_for_another_seed() -> None:
    batch = documents([r["text"] for r in records("mixture/web_en.jsonl.zst", 400)])
    chosen = choose(batch)
    shuffled = batch.take(np.random.default_rng(1).permutation(len(batch)))
    assert rows_digest(choose(shuffled)) == rows_digest(chosen)
    other = choose(batch, SplitConfig(seed=1))
    assert len(set(other["id"].to_pylist()) & set(chosen["id"].to_pylist())) < len(chosen) / 2
    assert min(len(text) for text in chosen["text"].to_pylist()) >= CONFIG.min_characters


def test_what_is_similar_to_earlier_training_text_is_passed_over() -> None:
    batch = documents([r["text"] for r in records("mixture/web_en.jsonl.zst", 400)])
    free = choose(batch)
    taken = documents(free["text"].to_pylist()[:5], key="earlier.one", domain="other")
    chosen = choose(batch, earlier=(taken.slice(0, 2), taken.slice(2)))
    assert not set(chosen["id"].to_pylist()) & set(free["id"].to_pylist()[:5])
    assert len(chosen) >= len(free) - 3
    splits = split_part({"documents": taken, "heldout_shingles": shingle_table(chosen, CONFIG)}, CONFIG)
    assert splits.counts["split/train"] == len(taken)


def test_rows_depend_on_themselves_and_the_heldout_set_alone() -> None:
    batch = documents([r["text"] for r in records("mixture/web_en.jsonl.zst", 300)])
    shingles = shingle_table(choose(batch), CONFIG)
    whole = split_part({"documents": batch, "heldout_shingles": shingles}, CONFIG).tables["splits"]
    pieces = [
        split_part({"documents": batch.slice(at, 77), "heldout_shingles": shingles}, CONFIG).tables["splits"]
        for at in range(0, 300, 77)
    ]
    assert rows_digest(pa.concat_tables(pieces)) == rows_digest(whole)
    nothing = split_part({"documents": batch, "heldout_shingles": shingles.slice(0, 0)}, CONFIG)
    assert nothing.counts["split/train"] == 300
    assert len(split_part({"documents": batch.slice(0, 0), "heldout_shingles": shingles}, CONFIG).tables["splits"]) == 0
    assert len(choose(batch, SplitConfig(max_documents=0))) == 0
