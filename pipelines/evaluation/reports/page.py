"""The frame of a report page: one document, its style inside it, and a policy that forbids scripts and the network."""

from collections.abc import Sequence
from typing import Final

from pipelines.evaluation.reports.markup import Markup, join, tag

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

_STYLE: Final = """
:root { --ink: #1f2933; --soft: #52606d; --line: #e4e7eb; --paper: #ffffff; --ground: #f5f7fa; --accent: #0b6e99; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); -webkit-text-size-adjust: 100%;
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, "Noto Sans", "DejaVu Sans",
  "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; }
main { max-width: 1160px; margin: 0 auto; padding: 40px 24px 64px; }
header { margin-bottom: 28px; }
.eyebrow { color: var(--accent); font-size: 13px; font-weight: 600; letter-spacing: .06em; text-transform: uppercase;
  margin: 0 0 6px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 14px; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 0 0 6px; }
h3 { font-size: 14px; margin: 18px 0 6px; color: var(--soft); }
p { margin: 0 0 10px; }
.headline { font-size: 18px; line-height: 1.5; max-width: 62em; overflow-wrap: anywhere; }
.note { color: var(--soft); font-size: 13.5px; max-width: 60em; margin-bottom: 14px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 22px 0 0; }
.tile { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 12px 16px; }
.tile b { display: block; font-size: 22px; font-weight: 650; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 13px; }
section { background: var(--paper); border: 1px solid var(--line); border-radius: 12px; padding: 22px 24px;
  margin: 0 0 18px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 14px; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: 12.5px; white-space: nowrap; }
th, td { padding: 7px 14px 7px 0; border-bottom: 1px solid var(--line); vertical-align: middle; }
td { overflow-wrap: break-word; }
td:first-child { min-width: 140px; overflow-wrap: anywhere; }
td.n, th.n { padding-left: 4px; }
td:has(> svg) { padding-top: 0; padding-bottom: 0; }
.share { white-space: nowrap; }
tbody tr:last-child td { border-bottom: 0; }
.n { text-align: right; white-space: nowrap; }
td.n { overflow-wrap: normal; }
.sub td:first-child { padding-left: 18px; color: var(--soft); }
svg { display: block; }
.tick { font-size: 10.5px; fill: #7b8794; }
.badge { display: inline-block; padding: 1px 10px; border-radius: 999px; font-size: 12.5px; font-weight: 600;
  white-space: nowrap; }
.learned { background: #d7f0e6; color: #0b5d46; }
.forgot { background: #fde2d5; color: #9a3412; }
.quiet { background: #edf0f3; color: #52606d; }
.warn { color: #9a3412; font-weight: 600; }
.bar { display: inline-block; vertical-align: middle; width: 90px; height: 8px; border-radius: 4px;
  background: #edf0f3; overflow: hidden; margin-right: 10px; }
.bar i { display: block; height: 8px; background: var(--accent); border-radius: 4px; }
.reasons { color: var(--soft); font-size: 13px; }
.plot { display: block; width: 100%; max-width: 920px; height: auto; }
.sample { border-top: 1px solid var(--line); padding: 14px 0 4px; }
.sample:first-of-type { border-top: 0; }
.sample .prompt { font-weight: 600; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 18px; }
.prose { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0 0 10px; }
code { font: 12.5px/1.5 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
footer { color: var(--soft); font-size: 13px; }
footer dt { font-weight: 600; color: var(--ink); margin-top: 8px; }
footer dd { margin: 0; max-width: 62em; }
@media (max-width: 720px) { main { padding: 24px 14px; } section { padding: 16px; }
  .pair { grid-template-columns: 1fr; } }
@media print { body { background: #fff; } section, .tile { break-inside: avoid; } }
"""


def page(
    title: str,
    eyebrow: str,
    headline: str,
    tiles: Sequence[tuple[str, str]],
    sections: Sequence[Markup],
    glossary: Sequence[tuple[str, str]],
    style: str = "",
) -> str:
    """The whole document; `tiles` are (value, what it is), `glossary` (word, meaning), `style` a page's own rules."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", Markup(_STYLE + style)),
    )
    header = tag(
        "header",
        tag("p", eyebrow, class_="eyebrow"),
        tag("h1", title),
        tag("p", headline, class_="headline"),
        tag(
            "div",
            *(tag("div", tag("b", value), tag("span", label), class_="tile") for value, label in tiles),
            class_="tiles",
        ),
    )
    words = tag("dl", *(join((tag("dt", word), tag("dd", meaning))) for word, meaning in glossary))
    footer = tag("footer", tag("h2", "How to read this page"), words) if glossary else None
    body = tag("body", tag("main", header, *sections, footer))
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"
