"""Kinds of pages beside articles: what a reader would miss is there, and stands as it stood."""

from pathlib import Path

import pytest
from resiliparse.parse.html import HTMLTree

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.readers import read_records
from pipelines.corpus.acquisition.records import Record
from pipelines.corpus.extraction.encoding import decode
from tests.pipelines.corpus.extraction.test_html import text_of
from tests.shared_data import shared

ONE = "The committee met in the spring of that year, and its members agreed on most of the points before them."
TWO = "In the autumn they met again, heard what had been done since, and found that little of it had lasted."
NAV = "<div id=nav><a href=1>Home</a> <a href=2>Maps</a></div>"

PAGES = {
    "a table": (
        f"<title>Rivers</title>{NAV}<h1>Rivers</h1><p>{ONE}<table><tr><th>River<th>km<tr><td>Aa<td>10<tr><td>Bo<td>7"
        f"</table><p>{TWO}",
        ["River | km\nAa | 10\nBo | 7"],
        ["Maps"],
    ),
    "a table with an empty cell": (
        f"<p>{ONE}<table><tr><th>Name<th>Old<th>New<tr><td>x<td><td>3</table><p>{TWO}",
        ["Name | Old | New\nx |  | 3"],
        [],
    ),
    "a column that is named comment": (
        f"<p>{ONE}<table>"
        + "".join(f"<tr><td>code {n}<td class=comment>what {n} means, in short" for n in range(30))
        + "</table>",
        ["code 7 | what 7 means, in short"],
        [],
    ),
    "a tutorial": (
        f"<title>Files</title><nav><a href=1>Docs</a></nav><main><h1>Files</h1><p>{ONE}</p><div class=highlight><pre>"
        "<span class=k>with</span> open(p) as f:\n    for line in f:\n        print(line)\n</pre></div>"
        f"<p>Call <code>read()</code>. {TWO}</main>",
        ["with open(p) as f:\n    for line in f:\n        print(line)", "Call read()."],
        ["Docs"],
    ),
    "formulas": (
        '<p>Energy is <span class=katex><span class="katex-mathml"><math><semantics><mrow><mi>E</mi></mrow><annotation '
        'encoding="application/x-tex">E=mc^2</annotation></semantics></math></span><span class="katex-html" '
        f'aria-hidden="true">E=mc2</span></span>, as is known. {ONE} And <script type="math/tex; mode=display">'
        f"\\int_0^1 x\\,dx</script>, and \\(a^2\\). {TWO}",
        ["Energy is $E=mc^2$, as is known.", "$$\\int_0^1 x\\,dx$$", "\\(a^2\\)"],
        ["E=mc2"],
    ),
    "a formula with an image beside it": (
        '<p>The value <span style="display: none"><math alttext="x^2"><mi>x</mi></math></span><img src=x.svg '
        f'alt="x^2" aria-hidden="true"> is used. {ONE}',
        ["The value $x^2$ is used."],
        [],
    ),
    "a poem": (
        "<title>Evening</title><h1>Evening</h1><p>The sun goes down,<br>the light is gone,<br><br>and over all,<br>the "
        "moon comes up.",
        ["The sun goes down,\nthe light is gone,\n\nand over all,\nthe moon comes up."],
        [],
    ),
    "a recipe": (
        f"<title>Pancakes</title>{NAV}<h1>Pancakes</h1><p>{ONE}</p><h2>Ingredients</h2><ul><li>200 g flour<li>2 eggs"
        "</ul><h2>Steps</h2><ol><li>Mix the flour and the eggs.<li>Let it rest, for an hour.</ol>",
        ["Ingredients\n\n• 200 g flour\n• 2 eggs\n\nSteps\n\n1. Mix the flour and the eggs.\n2. Let it rest"],
        ["Maps"],
    ),
    "lists in lists": (
        f"<p>{ONE}<ul><li>first<ol><li>inner<ul><li>deep</ul><li>last</ol><li>second</ul><p>{TWO}",
        ["• first\n  1. inner\n    • deep\n  2. last\n• second"],
        [],
    ),
    "definitions": (
        "<title>Glossary</title><h1>Glossary</h1><dl>"
        + "".join(f"<dt>Term {n}<dd>What it means, {n}." for n in range(9))
        + "</dl>",
        ["Term 3\nWhat it means, 3."],
        [],
    ),
    "a thread": (
        f"<title>It does not start</title>{NAV}<h1>It does not start</h1>"
        + "".join(
            f"<div class=post id=post{n}><div class=postauthor>user{n}</div><div class=postbody>{text}</div></div>"
            for n, text in enumerate(
                [
                    "My engine does not start, what can I do about it, please help.",
                    "Check the battery first, it is mostly that, and then the plugs.",
                    "It was the battery. Thank you, all is well, and it runs.",
                ]
            )
        ),
        ["My engine", "Check the battery", "It was the battery."],
        ["Maps"],
    ),
    "news in Chinese": (
        "<title>本市举行春季运动会</title><div class=top><a href=1>首页</a><a href=2>新闻</a></div><div class=content>"
        "<h1>本市举行春季运动会</h1><p>昨天上午，本市春季运动会在体育中心隆重开幕，来自全市各区的三千多名运动员参加了比赛。</p>"
        "<p>据组织者介绍，本次运动会共设二十个项目，将持续五天，预计观众人数将超过五万人。</p></div>"
        "<div class=footer>版权所有",
        ["昨天上午", "五万人。"],
        ["首页", "版权所有"],
    ),
    "Arabic": (
        "<html dir=rtl lang=ar><title>المكتبة</title><nav><a href=1>الرئيسية</a></nav><h1>المكتبة</h1>"
        "<p>افتتحت أمس المكتبة "
        "العامة الجديدة في وسط المدينة، بحضور عدد كبير من السكان والضيوف.<p>وأضاف أن الدخول مجاني للجميع، كل يوم.",
        ["افتتحت أمس", "مجاني للجميع"],
        ["الرئيسية"],
    ),
    "readings beside characters": (
        "<p><ruby>漢字<rp>(</rp><rt>かんじ</rt><rp>)</rp></ruby>を読むことは、最初は難しいですが、だんだん読めるようになります。",
        ["漢字を読む"],
        ["かんじ"],
    ),
    "an encyclopedia": (
        f"<title>Old Bridge - Encyclopedia</title>{NAV}<div id=content><h1>Old Bridge</h1><table class=infobox><tr><th>"
        f"Height<td>20 m<tr><th>Built<td>1560</table><p>{ONE}</p><h2>History<span class=mw-editsection>[<a href=e>edit"
        f"</a>]</span></h2><p>{TWO}</p><h2>References</h2><ol class=references><li>Smith, <i>Bridges</i>, 1990.</ol>",
        ["Height | 20 m\nBuilt | 1560", "History\n\nIn the autumn", "1. Smith, Bridges, 1990."],
        ["edit", "Maps"],
    ),
    "no paragraph": (f"<title>Notes</title><div>{ONE}</div>{TWO}<br><br>{ONE[:60]}", [ONE, TWO, ONE[:60]], []),
    "a table for the layout": (
        f"<title>My page</title><table width=100%><tr><td colspan=2><h1>My page</h1><tr><td width=150>"
        f"<a href=1>Home</a><br><a href=2>Links</a><td>{ONE}<br><br>{TWO}</table>",
        [f"{ONE}\n\n{TWO}"],
        [" | "],
    ),
    "XHTML": (
        '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title>X</title></head><body><script>'
        f"<![CDATA[ if (a<b) ]]></script><p>{ONE}<br />{TWO}</p><hr /></body></html>",
        [f"{ONE}\n{TWO}"],
        ["CDATA", "if (a"],
    ),
    "broken nesting": (f"<div><b><p>{ONE}</b></div></p><i>{TWO}</div></div></span></td>", [ONE, TWO], []),
    "a template that leaves a paragraph open": (
        f"<body><template><p>Never shown.</template><p>{ONE}",
        [ONE],
        ["Never"],
    ),
    "a button that leaves a division open": (f"<body><button><div>Press</button><p>{ONE}", [ONE], ["Press"]),
    "text without a tag": (f"{ONE}\n\n  indented, 1 < 2\n{TWO}", [f"{ONE}\n\n  indented, 1 < 2\n{TWO}"], []),
    "a page drawn by a program": (
        f"<title>App</title><script>var data = {{'a': '{'x' * 50_000}<p>'}}</script><script type='application/ld+json'>"
        f'{{"headline": "no"}}</script><div id=root><h1>App</h1><p>{ONE}<p>{TWO}</div>',
        [ONE, TWO],
        ["xxx", "headline"],
    ),
    "an index": (
        "<title>Library</title><ul>" + "".join(f"<li><a href={n}>Chapter {n}: some words</a>" for n in range(40)),
        ["• Chapter 0: some words\n• Chapter 1: some words", "Chapter 39"],
        [],
    ),
    "a banner and other stories": (
        "<title>The committee</title><div class=cookie-consent><p>We use cookies, and similar technologies, to make "
        f"this better.</p></div><article><h1>The committee</h1><p>{ONE} {TWO}<p>{TWO} {ONE}<div class=related-articles>"
        "<h3>Related articles</h3><ul><li><a href=1>Another story that you may like</a></ul></div>"
        "<p>And so it ended, at last: "
        f"{ONE[:90]}.",
        [ONE, "And so it ended"],
        ["cookies", "Another story"],
    ),
    "paragraphs that all call themselves a part of a feed": (
        f"<title>T</title>{NAV}"
        + "".join(f"<div class='feed-item'><p>{n}. {ONE}</p></div><div class=x></div>" for n in range(6)),
        ["0. The committee", "4. The committee"],
        ["Maps"],
    ),
}


@pytest.mark.parametrize("kind", PAGES)
def test_what_a_reader_would_miss_is_there(kind: str) -> None:
    page, present, absent = PAGES[kind]
    text = text_of(page)
    for part in present:
        assert part in text, text
    for part in absent:
        assert part not in text, text


ARCHIVES = (
    "commoncrawl-whirlwind/whirlwind.warc.gz",
    "dolma/sample-0000.warc.gz",
    "resiliparse/cc-extract-benign.warc.gz",
)


@pytest.mark.parametrize("archive", ARCHIVES)
def test_no_real_page_of_any_language_collapses(archive: str) -> None:
    """Of the text that stands in no link and outside of what calls itself a frame, a tenth is kept on every page."""
    seen = 0
    for record in read_records(Path(shared(f"warc/{archive}")), "x", ReaderConfig(format="warc")):
        if not isinstance(record, Record) or record.kind != "html" or not isinstance(record.body, bytes):
            continue
        html = decode(record.body, record.charset, markup=True).text
        tree = HTMLTree.parse(html)
        for node in tree.document.query_selector_all("script, style, noscript, nav, header, footer, aside, a, form"):
            if node.parent is not None:
                node.parent.remove_child(node)
        own = len("".join(tree.body.text.split())) if tree.body is not None else 0
        seen += 1
        if own > 500:
            assert len("".join(text_of(html).split())) > 0.1 * own, record.url
    assert seen
