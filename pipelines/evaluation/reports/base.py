"""The report of one checkpoint: how well it predicts text it never saw, domain by domain, and how it came about."""

from collections.abc import Sequence

from pipelines.evaluation.reports import sections
from pipelines.evaluation.reports.data import BaseReport
from pipelines.evaluation.reports.forest import mark, ruler, scale
from pipelines.evaluation.reports.markup import (
    Markup,
    count,
    interval,
    number,
    percent,
    section,
    short_count,
    table,
    tag,
    text,
)
from pipelines.evaluation.reports.page import page
from pipelines.evaluation.reports.signals import signals_section
from pipelines.evaluation.reports.splits import splits_section
from pipelines.evaluation.scores import DomainScore, TaskScore

_COLOUR = "#0b6e99"


def base_report_html(data: BaseReport) -> str:
    """One self-contained page; the same data gives the same bytes."""
    return page(
        title=data.model.name,
        eyebrow=f"Evaluation report · lane {data.lane}",
        headline=headline(data),
        tiles=_tiles(data),
        sections=[
            domain_section(data.domains, data.confidence),
            task_section(data.tasks, data.confidence),
            sections.training(data.losses),
            sections.mixture(data.mixture),
            splits_section(data.splits),
            sections.funnel(data.funnel),
            signals_section(data.signals),
            sections.licences(data.licences),
            sections.samples(data.generations, "", data.model.name),
            sections.provenance(data.digests, data.notes),
        ],
        glossary=(
            *sections.GLOSSARY,
            (
                "acc, acc_norm",
                "Share of items whose right choice has the highest log-likelihood: in total, or per character. "
                "Guessing is what a random choice would reach, majority what always the most frequent answer would.",
            ),
        ),
    )


def headline(data: BaseReport) -> str:
    """What the page says, in one or two sentences."""
    known = sorted(
        (score.bits_per_byte.value, score.domain) for score in data.domains if score.bits_per_byte.value is not None
    )
    if not known:
        words = "No domain has held-out text that could be scored."
    elif len(known) == 1:
        words = f"The model needs {number(known[0][0])} bits for a byte of held-out {known[0][1]}."
    else:
        mean = sum(value for value, _ in known) / len(known)
        words = (
            f"The model needs {number(mean)} bits for a byte of held-out text on average over {len(known)} domains: "
            f"least on {known[0][1]} ({number(known[0][0])}), most on {known[-1][1]} ({number(known[-1][0])})."
        )
    for score in data.tasks:
        if score.group is None and score.acc.value is not None:
            words += (
                f" It answers {percent(score.acc.value, 0)} of {score.task} rightly, {_against(score)} "
                f"({percent(score.random, 0)})."
            )
    return words


def _against(score: TaskScore) -> str:
    if score.above_random:
        return "above guessing"
    if score.acc.high is not None and score.random is not None and score.acc.high < score.random:
        return "below guessing"
    return "which is not distinguishable from guessing"


def _tiles(data: BaseReport) -> list[tuple[str, str]]:
    known = [score.bits_per_byte.value for score in data.domains if score.bits_per_byte.value is not None]
    tiles = [(number(sum(known) / len(known)) if known else "–", "bits per byte, mean of domains")]
    tiles.append((short_count(data.model.parameters), "parameters"))
    if data.model.steps:  # an imported checkpoint was trained elsewhere
        tiles.append((short_count(data.model.tokens), "tokens trained on"))
        tiles.append((count(data.model.steps), "optimiser steps"))
    if data.model.context_length is not None:
        tiles.append((count(data.model.context_length), "tokens of context"))
    if data.model.vocabulary is not None:
        tiles.append((count(data.model.vocabulary), "tokens in the vocabulary"))
    return tiles


def domain_section(scores: Sequence[DomainScore], confidence: float) -> Markup:
    """Bits per byte of every domain, with the interval as figures and as a picture."""
    bounds = [
        value
        for score in scores
        for value in (score.bits_per_byte.low, score.bits_per_byte.value, score.bits_per_byte.high)
    ]
    axis = scale(bounds)
    rows: list[tuple[object, ...]] = []
    for score in scores:
        estimate = score.bits_per_byte
        figures: object = interval(estimate.low, estimate.high)
        if score.reason is not None:
            figures = tag("span", score.reason, class_="badge quiet")
        rows.append(
            (
                score.domain,
                number(estimate.value),
                figures,
                mark(estimate.value, estimate.low, estimate.high, axis, _COLOUR),
                _perplexity(score.token_perplexity),
                count(score.documents),
                count(score.bytes),
            )
        )
    if rows:
        rows.append(("", "", "", ruler(axis), "", "", ""))
    headers = (
        "Domain", "Bits per byte", f"{percent(confidence, 0)} interval", "", "Token perplexity", "Documents", "Bytes",
    )  # fmt: skip
    return section(
        "Held-out text",
        table(headers, rows, numeric=(1, 5, 4, 6)),
        note="Documents held out before any mixing. Lower is better.",
    )


def _perplexity(value: float | None) -> str:
    """Five significant places at most: an untrained script reaches 10^10."""
    return number(value, 1) if value is None or value < 1e5 else f"{value:.1e}"


def task_section(scores: Sequence[TaskScore], confidence: float) -> Markup:
    """Accuracy of every task and its groups beside what guessing reaches."""
    if not scores:
        return Markup("")
    rows = []
    for score in scores:
        name: object = score.task if score.group is None else tag("span", "· ", score.group, class_="reasons")
        remarks = [] if score.reason is None else [score.reason]
        if score.ties:
            remarks.append(f"{count(score.ties)} {'tie' if score.ties == 1 else 'ties'}")
        if score.truncated:
            remarks.append(f"{count(score.truncated)} {'context' if score.truncated == 1 else 'contexts'} cut")
        if score.above_random is not None:
            verdict = "above guessing" if score.above_random else _against(score).removeprefix("which is ")
            badge = tag("span", verdict, class_="badge learned" if score.above_random else "badge quiet")
        else:
            badge = text("")
        rows.append(
            (
                name,
                count(score.items),
                percent(score.acc.value),
                interval(_hundred(score.acc.low), _hundred(score.acc.high), 1),
                percent(score.acc_norm.value),
                percent(score.random),
                percent(score.majority),
                badge,
                " · ".join(remarks),
            )
        )
    headers = (
        "Task", "Items", "acc", f"{percent(confidence, 0)} interval", "acc_norm", "Guessing", "Majority",
        "", "",
    )  # fmt: skip
    return section(
        "Multiple choice",
        table(headers, rows, numeric=(1, 2, 3, 4, 5, 6)),
        note="By log-likelihood of each choice, without examples before the question.",
    )


def _hundred(value: float | None) -> float | None:
    return None if value is None else 100 * value
