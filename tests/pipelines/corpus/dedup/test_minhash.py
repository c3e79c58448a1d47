import math
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
import xxhash

from pipelines.core.fingerprint import rows_digest
from pipelines.core.seeds import generator
from pipelines.corpus.dedup.config import DedupConfig
from pipelines.corpus.dedup.minhash import (
    band_column,
    band_hashes,
    permutations,
    signature_schema,
    signatures,
    signatures_part,
)
from pipelines.corpus.dedup.shingles import shingle_hash32, shingle_sets
from tests.pipelines.corpus.dedup import reference
from tests.pipelines.corpus.dedup.samples import texts

DEFAULT = DedupConfig()


def signatures_of(column: list[str], config: DedupConfig = DEFAULT) -> pa.Table:
    return signatures_part({"documents": reference.documents_table(column)}, config).tables["signatures"]


@pytest.mark.parametrize(("seed", "bands", "rows"), [(1, 14, 8), (7, 9, 13), (2**32 - 1, 1, 1)])
def test_permutations_are_datasketch_s(seed: int, bands: int, rows: int) -> None:
    datasketch = pytest.importorskip("datasketch")
    sketch = datasketch.MinHash(num_perm=bands * rows, seed=seed, scheme="affine32")
    assert np.array_equal(permutations(DedupConfig(seed=seed, bands=bands, rows=rows)), sketch.permutations)


@pytest.mark.parametrize("name", ["web_en", "zh_general", "code", "math_science", "wiki_en"])
def test_signatures_are_datasketch_s(name: str) -> None:
    """Bit for bit, from shingle strings through `hashfunc`, on real English, Chinese and code."""
    datasketch = pytest.importorskip("datasketch")
    column = texts(f"mixture/{name}", 12)
    sets = shingle_sets(column, DEFAULT)
    ours = signatures(sets.values, sets.offsets[1:], permutations(DEFAULT))
    assert ours.shape == (12, 112)
    assert ours.dtype == np.uint32
    for text, row in zip(column, ours, strict=True):
        sketch = datasketch.MinHash(num_perm=112, seed=1, hashfunc=shingle_hash32, scheme="affine32")
        sketch.update_batch(" ".join(shingle).encode() for shingle in reference.shingles(text, DEFAULT))
        assert np.array_equal(sketch.digest(), row)


def test_bands_are_xxh64_of_little_endian_rows() -> None:
    column = texts("mixture/web_en", 3)
    sets = shingle_sets(column, DEFAULT)
    values = signatures(sets.values, sets.offsets[1:], permutations(DEFAULT))
    bands = band_hashes(values, DEFAULT)
    table = signatures_of(column)
    for text in range(3):
        for band in range(14):
            rows = values[text, 8 * band : 8 * band + 8].astype("<u4").tobytes()
            assert bands[text, band] == xxhash.xxh64_intdigest(rows) == table[band_column(band)][text].as_py()


def pairs_sharing_a_band(similarity: float, trials: int, bands: int, rows: int) -> int:
    """How many of `trials` pairs of random sets with exactly this Jaccard similarity share a band."""
    config = DedupConfig(bands=bands, rows=rows)
    union = 400
    common = round(similarity * union)
    assert common == similarity * union
    stream = generator(3, "lsh", str(similarity), bands, rows)
    values = stream.integers(0, 2**64, (trials, union), dtype=np.uint64)
    half = (union - common) // 2
    a = values[:, : common + half]
    b = np.concatenate([values[:, :common], values[:, common + half :]], axis=1)
    shared = np.zeros(trials, bool)
    hashes = []
    for side in (a, b):
        ends = np.arange(1, trials + 1) * side.shape[1]
        hashes.append(band_hashes(signatures(side.ravel(), ends, permutations(config)), config))
    shared = (hashes[0] == hashes[1]).any(axis=1)
    return int(shared.sum())


@pytest.mark.parametrize("similarity", [0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9])
def test_the_s_curve(similarity: float) -> None:
    """P(candidate) = 1-(1-s^8)^14, which is .5645 .7716 .9235 .9884 at .70 .75 .80 .85 (FineWeb); 4 sigma."""
    trials = 2000
    expected = 1 - (1 - similarity**8) ** 14
    published = {0.7: 0.5645, 0.75: 0.7716, 0.8: 0.9235, 0.85: 0.9884}
    assert expected == pytest.approx(published.get(similarity, expected), abs=5e-5)
    found = pairs_sharing_a_band(similarity, trials, 14, 8) / trials
    assert abs(found - expected) <= 4 * math.sqrt(expected * (1 - expected) / trials)


def test_minhash_estimates_jaccard() -> None:
    """The share of equal values estimates s with standard deviation sqrt(s(1-s)/k): .0378 at k=112, s=.8."""
    column = texts("neardup/pride_and_prejudice_editions")
    sets = shingle_sets(column, DEFAULT)
    values = signatures(sets.values, sets.offsets[1:], permutations(DEFAULT))
    errors = []
    for first in range(61):
        a = set(sets.values[sets.offsets[first] : sets.offsets[first + 1]].tolist())
        b = set(sets.values[sets.offsets[first + 61] : sets.offsets[first + 62]].tolist())
        true = len(a & b) / len(a | b)
        if 0 < true < 1:
            errors.append((float(np.mean(values[first] == values[first + 61])) - true) / math.sqrt(true * (1 - true)))
    deviation = float(np.std(errors)) * math.sqrt(112)
    assert len(errors) > 30
    assert 0.7 < deviation < 1.4
    assert abs(float(np.mean(errors))) * math.sqrt(112) < 4 / math.sqrt(len(errors))


def test_the_table() -> None:
    column = ["The quick brown fox jumps over it.", "", "the QUICK, brown fox: jumps\nover it", "!!!", "...", "One two"]
    documents = reference.documents_table(column)
    result = signatures_part({"documents": documents}, DEFAULT)
    table = result.tables["signatures"]
    table.validate(full=True)
    assert table.schema == signature_schema(DEFAULT)
    assert result.counts == {"rows_in": 6, "kept": 6, "without_words": 3}
    assert table["id"].equals(documents["id"])
    assert table["text_hash"].equals(documents["text_hash"])
    assert table["n_words"].to_pylist() == [7, 0, 7, 0, 0, 2]
    assert table["n_shingles"].to_pylist() == [3, 0, 3, 0, 0, 1]
    exact = table["exact_hash"].to_pylist()
    assert exact[0] == exact[2]
    assert len(set(exact)) == 5
    assert [value is None for value in table["band_13"].to_pylist()] == [False, True, False, True, True, False]
    assert [len(hashes) for hashes in table["paragraph_hashes"].to_pylist()] == [1, 0, 2, 0, 0, 1]


def test_rows_are_pure_functions_of_their_own_text() -> None:
    column = [*texts("mixture/zh_general", 20), "", *texts("mixture/code", 20)]
    order = generator(0, "order").permutation(len(column))
    whole = signatures_of(column)
    assert rows_digest(whole.take(order).drop_columns(["id"])) == rows_digest(
        signatures_of([column[index] for index in order]).drop_columns(["id"])
    )


def test_an_empty_part_has_the_schema() -> None:
    result = signatures_part({"documents": reference.documents_table([])}, DEFAULT)
    assert result.tables["signatures"].schema == signature_schema(DEFAULT)
    assert result.counts["rows_in"] == 0


def test_normal_forms_of_unicode_are_the_same_text() -> None:
    text = "Ça été: Étude numéro un, première année à l'École"
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]
    assert forms[0] != forms[1]
    assert len(set(signatures_of(forms)["exact_hash"].to_pylist())) == 1


def test_the_numbers_of_a_template_matter_only_without_zeroing() -> None:
    pages = [f"Item {n}: price {n * 7} euros, stock {n * 3} pieces, order number {n + 1000}" for n in (21, 32)]
    assert len(set(signatures_of(pages)["exact_hash"].to_pylist())) == 2
    assert len(set(signatures_of(pages, DedupConfig(digits="zero"))["exact_hash"].to_pylist())) == 1
