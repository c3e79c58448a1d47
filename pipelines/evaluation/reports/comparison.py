"""The report of a continued-pretraining round: what it learned and what it forgot, against its base."""

from collections.abc import Sequence

from pipelines.evaluation.compare import DomainComparison, RoleSummary, TaskComparison, Verdict
from pipelines.evaluation.reports import sections
from pipelines.evaluation.reports.data import ComparisonReport
from pipelines.evaluation.reports.forest import Scale, mark, ruler, scale
from pipelines.evaluation.reports.markup import (
    Markup,
    count,
    interval,
    join,
    listing,
    number,
    percent,
    section,
    short_count,
    table,
    tag,
)
from pipelines.evaluation.reports.page import page
from pipelines.evaluation.reports.signals import signals_section
from pipelines.evaluation.reports.splits import splits_section
from pipelines.evaluation.scores import Estimate

_COLOURS = {"learned": "#0f8a66", "forgot": "#d9480f"}
_QUIET = "#7b8794"
_NAMED = 3
"""Domains named in the headline for each verdict; the rest is counted."""


def comparison_report_html(data: ComparisonReport) -> str:
    """One self-contained page; the same data gives the same bytes."""
    return page(
        title=f"{data.round_model.name} against {data.base_model.name}",
        eyebrow=f"Continued pretraining · lane {data.lane} · round {data.round}",
        headline=headline(data.domains, data.confidence),
        tiles=_tiles(data),
        sections=[
            domain_section(data),
            _control_section(data),
            task_section(data.tasks, data.confidence),
            sections.training(data.losses),
            sections.mixture(data.mixture),
            splits_section(data.splits),
            sections.funnel(data.funnel),
            signals_section(data.signals),
            sections.licences(data.licences),
            sections.samples(data.generations, data.base_model.name, data.round_model.name),
            sections.provenance(data.digests, data.notes),
        ],
        glossary=(
            *sections.GLOSSARY,
            (
                "Learned, forgot, within noise",
                "Both checkpoints scored the same documents, and the difference of each pair was bootstrapped. "
                "Learned: the whole interval of the change is on the better side of zero. Forgot: on the worse side. "
                "Within noise: it contains zero, so these documents do not tell the two checkpoints apart.",
            ),
            (
                "New and old domains",
                "New: the text that this round was made for. Old: text of the base that it must not forget. "
                "Their rows give the unweighted mean over domains.",
            ),
        ),
    )


def headline(domains: Sequence[DomainComparison], confidence: float) -> str:
    """What was learned, what was forgotten, and what cannot be told, in sentences."""
    by_verdict: dict[Verdict, list[DomainComparison]] = {}
    for domain in sorted(domains, key=lambda row: (-abs(row.delta.value or 0.0), row.domain)):
        by_verdict.setdefault(domain.verdict, []).append(domain)
    words = []
    for verdict, opening in (("learned", "The round learned"), ("forgot", "It forgot")):
        if found := by_verdict.get(verdict):  # type: ignore[call-overload]  # a literal by its value
            named = [_change(row, confidence, row is found[0]) for row in found[:_NAMED]]
            if len(found) > _NAMED:
                named.append(f"{len(found) - _NAMED} more")
            words.append(f"{opening} {listing(named)}.")
        else:
            words.append("The round learned no domain." if verdict == "learned" else "It forgot no domain.")
    for verdict, ending in (
        ("within noise", "within noise"),
        ("too few documents", "held out with too few documents for a verdict"),
        ("undefined", "without a verdict, for want of finite scores"),
    ):
        if found := by_verdict.get(verdict):  # type: ignore[call-overload]
            verb = "is" if len(found) == 1 else "are"
            words.append(f"{listing([row.domain for row in found])} {verb} {ending}.")
    return " ".join(words)


def _change(row: DomainComparison, confidence: float, full: bool) -> str:
    change = f"{number(row.delta.value, 3, signed=True)}"
    if not full:
        return f"{row.domain} ({change})"
    bounds = interval(row.delta.low, row.delta.high, 3, signed=True)
    return f"{row.domain} ({change} bits per byte, {percent(confidence, 0)} interval {bounds})"


def _tiles(data: ComparisonReport) -> list[tuple[str, str]]:
    tiles = [
        (number(row.delta.value, 3, signed=True), f"bits per byte, mean of {row.role} domains ({row.domains})")
        for row in data.summaries
    ]
    for verdict, label in (
        ("learned", "domains learned"),
        ("forgot", "domains forgotten"),
        ("within noise", "within noise"),
    ):
        tiles.append((str(sum(row.verdict == verdict for row in data.domains)), label))
    if data.base_model.tokens is not None and data.round_model.tokens is not None:
        tiles.append((short_count(data.round_model.tokens - data.base_model.tokens), "tokens trained on in the round"))
    return tiles


def domain_section(data: ComparisonReport) -> Markup:
    """The change of every domain, drawn on one scale, and the means of new and old domains."""
    drawn: list[DomainComparison | RoleSummary] = [*data.domains, *data.summaries]
    axis = scale((bound for row in drawn for bound in _bounds(row.delta)), include_zero=True)
    rows = [_domain_row(row, axis) for row in data.domains] + [_mean_row(row, axis) for row in data.summaries]
    if rows:
        rows.append(("", "", "", "", "", ruler(axis, signed=True), "", "", ""))
    headers = (
        "Domain", "Base", "Round", "Change", f"{percent(data.confidence, 0)} interval",
        Markup("&larr; learned &nbsp;·&nbsp; forgot &rarr;"), "Verdict", "Relative", "Documents",
    )  # fmt: skip
    return section(
        "What changed",
        table(headers, rows, numeric=(1, 2, 3, 4, 7, 8)),
        note="Bits per byte on the same held-out documents for both checkpoints. Left of zero the round is better.",
    )


def _domain_row(row: DomainComparison, axis: Scale) -> tuple[object, ...]:
    return (
        join((row.domain, tag("span", f" {row.role}", class_="reasons") if row.role else None)),
        number(row.base),
        number(row.round),
        number(row.delta.value, 3, signed=True),
        interval(row.delta.low, row.delta.high, 3, signed=True),
        _mark(row.delta, row.verdict, axis),
        badge(row.verdict),
        percent(row.relative),
        count(row.documents),
    )


def _mean_row(row: RoleSummary, axis: Scale) -> tuple[object, ...]:
    change = tag("b", number(row.delta.value, 3, signed=True))
    bounds = interval(row.delta.low, row.delta.high, 3, signed=True)
    name = tag("b", f"mean of {row.role} domains")
    return (name, "", "", change, bounds, _mark(row.delta, row.verdict, axis), badge(row.verdict), "", "")


def _control_section(data: ComparisonReport) -> Markup:
    """Each domain's change with replay beside the change without it."""
    if not data.control:
        return Markup("")
    main = {row.domain: row for row in data.domains}
    control: list[DomainComparison | RoleSummary] = [*data.control, *data.control_summaries]
    means = {row.role: row for row in data.summaries}
    pairs = [
        (main.get(row.domain) if isinstance(row, DomainComparison) else means.get(row.role), row) for row in control
    ]
    axis = scale(
        (bound for pair in pairs for row in pair if row is not None for bound in _bounds(row.delta)), include_zero=True
    )
    rows: list[tuple[object, ...]] = []
    for with_replay, without in pairs:
        name = without.domain if isinstance(without, DomainComparison) else f"mean of {without.role} domains"
        rows.append(
            (
                name,
                number(None if with_replay is None else with_replay.delta.value, 3, signed=True),
                "" if with_replay is None else _mark(with_replay.delta, with_replay.verdict, axis),
                number(without.delta.value, 3, signed=True),
                _mark(without.delta, without.verdict, axis),
            )
        )
    rows.append(("", "", ruler(axis, signed=True), "", ruler(axis, signed=True)))
    return section(
        "What replay saved",
        table(("Domain", "With replay", "", "Without replay", ""), rows, numeric=(1, 3)),
        note="The same round trained once more without old text: the change in bits per byte with and without replay.",
    )


def task_section(rows: Sequence[TaskComparison], confidence: float) -> Markup:
    """Accuracies of both checkpoints and their difference in percentage points."""
    if not rows:
        return Markup("")
    shown = [(row, _points(row.delta)) for row in rows if row.metric != "acc_bytes"]
    axis = scale((bound for _, delta in shown for bound in _bounds(delta)), include_zero=True)
    body: list[tuple[object, ...]] = [
        (
            row.task if row.group is None else tag("span", f"· {row.group}", class_="reasons"),
            row.metric,
            count(row.items),
            percent(row.base),
            percent(row.round),
            percent(row.random),
            number(delta.value, 1, signed=True),
            interval(delta.low, delta.high, 1, signed=True),
            _mark(delta, row.verdict, axis),
            badge(row.verdict),
        )
        for row, delta in shown
    ]
    body.append(("", "", "", "", "", "", "", "", ruler(axis, signed=True), ""))
    headers = (
        "Task", "Metric", "Items", "Base", "Round", "Guessing", "Points", f"{percent(confidence, 0)} interval",
        Markup("&larr; forgot &nbsp;·&nbsp; learned &rarr;"), "Verdict",
    )  # fmt: skip
    return section(
        "Multiple choice",
        table(headers, body, numeric=(2, 3, 4, 5, 6, 7)),
        note="The same items for both checkpoints; the change in percentage points. Right of zero the round is better.",
    )


def badge(verdict: Verdict) -> Markup:
    kind = verdict if verdict in _COLOURS else "quiet"
    return tag("span", verdict, class_=f"badge {kind}")


def _mark(delta: Estimate, verdict: Verdict, axis: Scale) -> Markup:
    return mark(delta.value, delta.low, delta.high, axis, _COLOURS.get(verdict, _QUIET))


def _bounds(delta: Estimate) -> tuple[float | None, float | None, float | None]:
    return delta.low, delta.value, delta.high


def _points(delta: Estimate) -> Estimate:
    low, value, high = (None if bound is None else 100 * bound for bound in _bounds(delta))
    return Estimate(value, low, high)
