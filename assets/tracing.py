"""From a training step to documents, URLs and archive offsets, and from a document to the steps that trained on it."""

from collections.abc import Iterator
from functools import cache

from assets.generation import find_checkpoint
from assets.inspection import find_documents
from assets.model.lineage import plan_of, stream_files, upstream
from assets.stories import row_of
from pipelines.core.artifacts import Artifact
from pipelines.core.errors import UnknownNameError
from pipelines.model.plans.plan import Plan
from pipelines.tokens.arrays.reader import DocumentIndex
from pipelines.tokens.mixture.packing import RowTable
from pipelines.tokens.mixture.selection import Selection
from pipelines.tokens.mixture.spec import MixtureSpec, PartTokens
from pipelines.tokens.mixture.stored import stored_arrays
from pipelines.tokens.mixture.trace import MixtureTrace
from resources.mill import Mill


def open_trace(mill: Mill, checkpoint: Artifact) -> tuple[MixtureTrace, Plan]:
    """The trace of the mixture that a checkpoint was trained on."""
    plan = plan_of(checkpoint)
    mixture = mill.store.open(checkpoint.manifest.inputs["mixture"].manifest)
    manifests = {(part.partition, part.part): part.manifest for part in plan.parts}

    @cache
    def index_of(partition: str, name: str) -> DocumentIndex:
        arrays = mill.store.open(manifests[partition, name])
        stored = next(item for item in arrays.parts if item.name == name)
        return DocumentIndex(arrays.table(stored, "train_index"))

    def whole_index(part: PartTokens) -> DocumentIndex:
        return index_of(part.partition, part.part)

    spec = MixtureSpec.from_json(mixture.bytes_of("specification"))
    rows = {
        stream: RowTable.from_arrays(found) for stream, found in stored_arrays(stream_files(mixture, "packed/")).items()
    }
    selections = {
        stream: Selection.from_arrays(found)
        for stream, found in stored_arrays(stream_files(mixture, "selected/")).items()
    }
    return MixtureTrace(spec, mixture.whole("parts"), whole_index, rows, selections), plan


def trace_step(mill: Mill, name: str, step: int) -> Iterator[str]:
    """The documents of a step (counted from 1), with URLs and places in the archive."""
    checkpoint = find_checkpoint(mill, name)
    trace, plan = open_trace(mill, checkpoint)
    if not 1 <= step <= plan.train.total_steps:
        raise UnknownNameError(f"{name} has steps 1 to {plan.train.total_steps}, not {step}")
    uses = trace.documents(step - 1, plan.train.batch_sequences)
    size, steps = plan.train.batch_sequences, plan.train.total_steps
    yield f"{name}, step {step} of {steps}: {size} sequences, {len(uses)} spans of documents"
    places = _Places(mill, plan)
    for use in uses:
        url, locator = places.of(use.partition, use.part, use.document)
        yield (
            f"  row {use.example % size:>3}  {use.document.hex()}  tokens {use.start}-{use.start + use.length}"
            f"  epoch {use.epoch + 1} of {use.stream}  {url or '-'}  {locator}"
        )


def trace_document(mill: Mill, name: str, document: str) -> Iterator[str]:
    """The steps that trained on a document."""
    checkpoint = find_checkpoint(mill, name)
    trace, plan = open_trace(mill, checkpoint)
    found = list(find_documents(mill, document))
    if not found:
        raise UnknownNameError(f"{document!r} is in no batch of {mill.project.project}")
    for key, identity in found:
        part = next(
            (item for item in plan.parts if item.partition == key and _holds(mill, item.manifest, item.part, identity)),
            None,
        )
        if part is None:
            yield f"{identity.hex()} ({key}) is not in the training data of {name}"
            continue
        try:
            uses = trace.uses(key, part.part, identity)
        except KeyError:
            uses = []
        yield f"{identity.hex()} ({key}): {len(uses)} spans in the {plan.train.total_steps} steps of {name}"
        for use in uses:
            step, row = divmod(use.example, plan.train.batch_sequences)
            span = f"tokens {use.start}-{use.start + use.length}"
            yield f"  step {step + 1}, row {row}: {span}, epoch {use.epoch + 1} of {use.stream}"


def _holds(mill: Mill, manifest: str, part: str, identity: bytes) -> bool:
    arrays = mill.store.open(manifest)
    stored = next(item for item in arrays.parts if item.name == part)
    return identity in set(arrays.table(stored, "train_index", ["id"])["id"].to_pylist())


class _Places:
    """URL and locator of documents, from the text that the plan's arrays were made of."""

    def __init__(self, mill: Mill, plan: Plan) -> None:
        self._mill = mill
        self._manifests = {(part.partition, part.part): part.manifest for part in plan.parts}
        self._crawled: dict[str, Artifact | None] = {}

    def of(self, partition: str, part: str, identity: bytes) -> tuple[str | None, str]:
        if partition not in self._crawled:
            arrays = self._mill.store.open(self._manifests[partition, part])
            self._crawled[partition] = upstream(self._mill.store, arrays, "crawled_text")
        found = row_of(self._crawled[partition], "documents", identity)
        return (found[1]["url"], found[1]["locator"]) if found else (None, "text was dropped by policy")
