"""The answer of `gristmill what-if` as text."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from assets.whatif import Answer, named_part
from assets.wording import printable, shown
from pipelines.core.sampling import excerpt
from pipelines.corpus.filters.whatif import Mover
from resources.mill import Mill


def lines_of(mill: Mill, answer: Answer) -> Iterator[str]:
    """The answer as text."""
    result = answer.result
    for source, rules in answer.changed.items():
        for number, rule in enumerate(rules):
            yield f"{source if not number else '':<16}{rule}"
    if not answer.changed:
        yield "the edits are what the project file says already"
    for by in ("source", "language"):
        yield ""
        yield (
            f"{by:<16}{'documents kept':>16}{'then':>12}{'change':>10}   {'tokens kept':>14}{'then':>14}{'change':>12}"
        )
        for name, now, then, tokens_now, tokens_then in result.totals(by):
            if by == "language" and not now and not then:
                continue
            yield f"{name:<16}{now:>16,}{then:>12,}{then - now:>+10,}   {_token_cells(tokens_now, tokens_then)}"
    for side, verb in (("lost", "would be dropped"), ("gained", "would be kept")):
        rules_of = {(source, rule): n for (of, source, rule), n in result.by_rule.items() if of == side}
        yield ""
        yield f"{sum(rules_of.values()):,} documents {verb}" + (":" if rules_of else "")
        for (source, rule), documents in sorted(rules_of.items(), key=lambda item: (-item[1], item[0])):
            yield f"  {documents:>9,}  {source}: {'first by' if side == 'lost' else 'dropped now by'} {rule}"
        for mover in result.samples.rows(side):
            yield from _mover(mill, mover)
    yield ""
    yield from _notes(answer)


def _token_cells(now: float | None, then: float | None) -> str:
    if now is None or then is None:
        return f"{'-':>14}{'-':>14}{'-':>12}"
    return f"{now:>14,.0f}{then:>14,.0f}{then - now:>+12,.0f}"


def _mover(mill: Mill, mover: Mover) -> Iterator[str]:
    crawled = mill.get("crawled_text", mover.key)
    texts = crawled.table(named_part(crawled, mover.part), "documents", ["id", "text"])
    row = pc.index(texts["id"], pa.scalar(mover.id, texts["id"].type)).as_py()
    value = f"{mover.signal or mover.rule} = {shown(mover.value)}"
    if mover.threshold is not None:
        value += f", threshold {'is' if mover.side == 'gained' else 'then'} {shown(mover.threshold)}"
    yield f"  {mover.id.hex()}  {mover.source}  {value}  {printable(mover.url or '')}".rstrip()
    yield f"      {printable(excerpt(texts['text'][row], 110))}"


def _notes(answer: Answer) -> Iterator[str]:
    share = answer.result.estimated_share()
    if answer.tokenizer is None:
        yield "The project has no tokenizer: tokens are not known."
    elif answer.result.characters_per_token("") is None:
        yield f"Nothing is tokenized by {answer.tokenizer} yet: tokens are not known."
    else:
        ratios = {name: answer.result.characters_per_token(name) for name in answer.result.characters}
        spoken = ", ".join(f"{name} {ratio:.2f}" for name, ratio in sorted(ratios.items()) if ratio)
        yield (
            f"Tokens of {answer.tokenizer}: counted in its arrays; for {share:.1%} of the documents above, which are "
            f"not in them, estimated by the characters a token has in their source ({spoken})."
        )
    yield (
        "These are decisions of the filter alone. What comes after it is not claimed: duplicates, removals and "
        "held-out documents change with what the filter keeps."
    )
    if answer.edited_since:
        names = ", ".join(answer.edited_since[:6])
        yield f"Edited since its last run, so part of the change is the project file's own: {names}."
    for reason in answer.left_out:
        yield f"Left out: {reason}."
    yield f"{answer.batches} batches in {answer.seconds:.1f} s; nothing was computed or changed in the store."
