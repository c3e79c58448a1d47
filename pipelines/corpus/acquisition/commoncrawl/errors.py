"""What goes wrong between us and the servers of Common Crawl."""

from pipelines.core.errors import GristmillError


class CommonCrawlError(GristmillError):
    """The selection cannot go on: an index that does not answer or lacks a column, a data server that is away."""


class FetchError(Exception):
    """One request failed for good. `reason` is the outcome name; `lasting` when asking again would not help."""

    def __init__(self, reason: str, detail: str, *, lasting: bool) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.lasting = lasting
