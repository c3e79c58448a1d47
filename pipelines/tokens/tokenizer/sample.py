"""The training sample: documents chosen by id hash, with a budget of characters per domain.

In: documents in any order. 1. Hash each id with the seed. 2. Per domain keep the documents with the smallest hashes
until they hold the budget; a heap forgets the rest as the stream passes. 3. Sort what was kept by (domain, hash, id).
Out: the same texts for the same set of documents, whatever the order or the number of parts. Memory: the budgets plus
one document per domain. The last document of a domain may run over its budget; a domain with less text gives all.
"""

import hashlib
import heapq
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pyarrow as pa

from pipelines.core.fingerprint import Algorithm
from pipelines.core.seeds import derive
from pipelines.tokens.tokenizer.config import TrainedTokenizer

SAMPLE = Algorithm("tokenizer_sample", 1)


class SampleDocument(NamedTuple):
    """What sampling needs of a document."""

    id: bytes
    domain: str
    text: str


class Sample(NamedTuple):
    """The texts in training order with their domains, and how many documents and characters each domain offered."""

    documents: list[SampleDocument]
    offered: dict[str, tuple[int, int]]

    def taken(self) -> dict[str, tuple[int, int]]:
        """Domain -> (documents, characters) in the sample."""
        totals: dict[str, tuple[int, int]] = {}
        for document in self.documents:
            documents, characters = totals.get(document.domain, (0, 0))
            totals[document.domain] = (documents + 1, characters + len(document.text))
        return totals


class _Budget:
    """The documents of one domain with the smallest hashes, as few as hold `characters`."""

    def __init__(self, characters: int) -> None:
        self.characters = characters
        self.held = 0
        # Largest hash on top: (-hash, inverted id, document); ids are unique, so documents are never compared.
        self.heap: list[tuple[int, int, SampleDocument]] = []

    def offer(self, rank: int, document: SampleDocument) -> None:
        heapq.heappush(self.heap, (-rank, -int.from_bytes(document.id, "big"), document))
        self.held += len(document.text)
        while self.heap and self.held - len(self.heap[0][2].text) >= self.characters:
            self.held -= len(heapq.heappop(self.heap)[2].text)

    def chosen(self) -> list[SampleDocument]:
        return [document for _, _, document in sorted(self.heap, reverse=True)]


def documents_of(tables: Iterable[pa.Table]) -> Iterator[SampleDocument]:
    """Rows of document tables, a batch of rows in Python objects at a time."""
    for table in tables:
        for batch in table.select(["id", "domain", "text"]).to_batches(max_chunksize=1024):
            columns = (batch.column(name).to_pylist() for name in ("id", "domain", "text"))
            yield from (SampleDocument(*row) for row in zip(*columns, strict=True))


def sample_documents(documents: Iterable[SampleDocument], config: TrainedTokenizer) -> Sample:
    """Choose the training sample of `config`; empty texts are passed over."""
    key = derive(config.seed, "tokenizer_sample").to_bytes(8, "little")
    budgets: dict[str, _Budget] = {}
    offered: dict[str, tuple[int, int]] = {}
    for document in documents:
        if not document.text:
            continue
        count, characters = offered.get(document.domain, (0, 0))
        offered[document.domain] = (count + 1, characters + len(document.text))
        budget = config.domain_characters.get(document.domain, config.sample_characters)
        if not budget:
            continue
        rank = int.from_bytes(hashlib.blake2b(document.id, digest_size=8, key=key).digest(), "big")
        cut = document._replace(text=document.text[: config.document_characters])
        budgets.setdefault(document.domain, _Budget(budget)).offer(rank, cut)
    chosen = [document for domain in sorted(budgets) for document in budgets[domain].chosen()]
    return Sample(chosen, {domain: offered[domain] for domain in sorted(offered)})
