"""HTML to text against trafilatura and resiliparse: `python -m tests.benchmarks.bench_extraction [--rounds 5]`.

The same pages in the same process, bytes to text, decoding included on every side (ours decodes for resiliparse;
trafilatura takes the bytes and finds the encoding itself), one thread, in turn, five paired rounds. Printed are medians
of processor time, so that other work on the machine does not count, the spread, and the ratio of each round. F1 is the
article-extraction benchmark's own: mean precision and mean recall over 4-gram shingles, without readers' comments.
Trafilatura is no dependency of ours: where it is not installed its line is left out.
"""

import argparse
import importlib
import statistics
import time
from collections.abc import Callable

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.readers import read_records
from pipelines.corpus.acquisition.records import Record
from pipelines.corpus.extraction.config import ExtractionConfig
from pipelines.corpus.extraction.encoding import decode
from pipelines.corpus.extraction.extract import warm_up
from pipelines.corpus.extraction.html import Page, extract_page
from tests.pipelines.corpus.extraction.gold import gold_texts, shingle_f1
from tests.shared_data import shared

CONFIG = ExtractionConfig()
Extractor = Callable[[bytes, str | None], str]


def ours(body: bytes, charset: str | None) -> str:
    page = extract_page(decode(body, charset, markup=True).text.encode("utf-8", "replace"), CONFIG)
    return page.text if isinstance(page, Page) else ""


def resiliparse(body: bytes, charset: str | None) -> str:
    tree = HTMLTree.parse(decode(body, charset, markup=True).text)
    text: str = extract_plain_text(tree, main_content=True, alt_texts=False)
    return text


def extractors() -> dict[str, Extractor]:
    found: dict[str, Extractor] = {"ours": ours, "resiliparse": resiliparse}
    try:
        trafilatura = importlib.import_module("trafilatura")
    except ImportError:
        print("trafilatura is not installed: pip install trafilatura==2.3.1 lxml_html_clean")
    else:
        found["trafilatura"] = lambda body, charset: trafilatura.extract(body, include_comments=False) or ""
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    gold = gold_texts()
    records = read_records(shared("html_gold/real-pages.warc.gz"), "x", ReaderConfig(format="warc"))
    pages = [
        (gold[record.url], record.body, record.charset)
        for record in records
        if isinstance(record, Record) and isinstance(record.body, bytes) and record.url is not None
    ]
    megabytes = sum(len(body) for _, body, _ in pages) / 1e6
    warm_up()
    seconds: dict[str, list[float]] = {}
    found = extractors()
    for _ in range(rounds):
        for name, extract in found.items():
            started = time.process_time()
            for _, body, charset in pages:
                extract(body, charset)
            seconds.setdefault(name, []).append(time.process_time() - started)
    print(f"{len(pages)} pages, {megabytes:.1f} MB, {rounds} paired rounds, processor time")
    for name, extract in found.items():
        times = seconds[name]
        ratios = sorted(mine / theirs for mine, theirs in zip(seconds["ours"], times, strict=True))
        f1 = shingle_f1([(text, extract(body, charset)) for text, body, charset in pages])
        median = statistics.median(times)
        rate, least, best = (len(pages) / spent for spent in (median, max(times), min(times)))
        print(
            f"{name:<12} {rate:7.0f} pages/s [{least:.0f}-{best:.0f}] {megabytes / median:6.1f} MB/s   F1 {f1:.4f}   "
            f"ours is {1 / statistics.median(ratios):5.2f} times as fast [{1 / ratios[-1]:.2f}-{1 / ratios[0]:.2f}]"
        )


if __name__ == "__main__":
    main()
