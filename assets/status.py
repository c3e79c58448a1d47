"""What is there: batches with their counts, tokenizers, lanes with their rounds."""

from collections.abc import Iterator

from assets.automation.settling import bound_rounds, given_up, snapshot_due
from pipelines.core.artifacts import Artifact
from resources.mill import Mill

COLUMNS = ("crawled_text", "filtered_documents", "deduplicated_documents", "clean_documents")


def status_lines(mill: Mill) -> Iterator[str]:
    """One screen of text."""
    yield f"project {mill.project.project} ({mill.loaded.path})"
    yield f"store   {mill.home.store_url}"
    yield ""
    yield from _batches(mill)
    yield ""
    for name in mill.project.tokenizers:
        tokenizer = mill.store.latest(f"{name}/tokenizer")
        facts = tokenizer.manifest.facts if tokenizer else {}
        yield f"tokenizer {name}: " + (f"{facts['vocab_size']:,} tokens" if facts else "not made yet")
    snapshot = mill.store.latest("corpus_snapshot")
    if snapshot is not None:
        facts = snapshot.manifest.facts
        state = "complete" if facts["complete"] else "incomplete"
        yield f"snapshot: {facts['batches']} batches, {facts['tokens']:,} tokens, {state}"
    due = snapshot_due(mill)
    yield f"next snapshot: {'due' if due.wanted else due.reason}"
    for lane in mill.project.lanes:
        yield ""
        yield from _lane(mill, lane)


def _batches(mill: Mill) -> Iterator[str]:
    absent = given_up(mill)
    columns = [name.split("_")[0] for name in COLUMNS] + [f"{name} tokens" for name in mill.project.tokenizers]
    yield f"{'batch':<28}{'ordinal':>8}" + "".join(f" {name:>15}" for name in columns)
    for key, ordinal in mill.sealed().items():
        rows = []
        for name in COLUMNS:
            artifact = mill.store.latest(name, key)
            rows.append(f"{artifact.manifest.rows('documents'):,}" if artifact else "-")
        arrays = [mill.store.latest(f"{tokenizer}/token_arrays", key) for tokenizer in mill.project.tokenizers]
        rows += [f"{item.manifest.counts.get('train/tokens', 0):,}" if item else "-" for item in arrays]
        state = f"  given up: {absent[key]}" if key in absent and not any(arrays) else ""
        yield f"{key:<28}{ordinal:>8}" + "".join(f" {row:>15}" for row in rows) + state


def _lane(mill: Mill, lane: str) -> Iterator[str]:
    yield f"lane {lane}"
    yield f"  base: {_checkpoint(mill.store.latest(f'{lane}/base_checkpoint'))}"
    for entry in mill.store.ledger(f"rounds/{lane}"):
        key = entry["round"]
        report = mill.store.latest(f"{lane}/continued_report", key)
        verdicts = {
            name.removeprefix("verdict/"): value
            for name, value in (report.manifest.facts if report else {}).items()
            if name.startswith("verdict/")
        }
        shown = ", ".join(f"{domain} {verdict}" for domain, verdict in verdicts.items())
        if report is not None:
            shown += f"; gates {'passed' if report.manifest.facts['gates_passed'] else 'failed'}"
        yield f"  {key}: {_checkpoint(mill.store.latest(f'{lane}/continued_checkpoint', key))}" + (
            f"; {shown}" if shown else ""
        )
    released = mill.store.latest(f"{lane}/released_checkpoint")
    if released is not None:
        yield f"  released: {released.manifest.facts['released']}"
    proposal = mill.store.latest(f"{lane}/round_proposal")
    if proposal is not None:
        waiting = bound_rounds(mill, lane)
        yield f"  proposal: {proposal.manifest.facts['decision']} ({proposal.manifest.facts['why']})" + (
            f"; bound and waiting: {', '.join(waiting)}" if waiting else ""
        )


def _checkpoint(artifact: Artifact | None) -> str:
    if artifact is None:
        return "not trained yet"
    facts = artifact.manifest.facts
    if not facts["steps"]:
        return f"{facts['parameters']:,} parameters, imported"
    losses = f"loss {facts['first_loss']:.3f} -> {facts['last_loss']:.3f}"
    return f"{facts['parameters']:,} parameters, {facts['steps']:,} steps, {losses}"
