"""Where archives and index tables lie: behind HTTP, or in any file system of fsspec; read by byte ranges alone."""

from typing import Any, Protocol

from pipelines.corpus.acquisition.commoncrawl.client import Client, Clockwork
from pipelines.corpus.acquisition.commoncrawl.config import CommonCrawlConfig
from pipelines.corpus.acquisition.commoncrawl.errors import CommonCrawlError, FetchError


class Place(Protocol):
    """Files below a base; all methods raise `FetchError`. `received` counts body bytes."""

    received: int
    requests: int

    def size(self, path: str) -> int: ...

    def range(self, path: str, start: int, end: int) -> bytes: ...

    def get(self, path: str, *, limit: int) -> tuple[int, bytes]: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


def open_place(config: CommonCrawlConfig, work: Clockwork) -> Place:
    """The place that `data_url` names."""
    if config.data_url.startswith(("http://", "https://")):
        return Client(config.data_url, config, work)
    return _FilePlace(config.data_url)


class _FilePlace:
    """A file system of fsspec: its own retries and pace hold."""

    def __init__(self, base: str) -> None:
        from fsspec.core import url_to_fs

        self.received = self.requests = 0
        try:
            self._files, self._base = url_to_fs(base)
        except (ValueError, ImportError) as error:
            raise CommonCrawlError(f"data_url {base!r} cannot be opened: {error}") from error

    def size(self, path: str) -> int:
        return int(self._ask(path, lambda full: self._files.info(full)["size"]))

    def range(self, path: str, start: int, end: int) -> bytes:
        data: bytes = self._ask(path, lambda full: self._files.cat_file(full, start=start, end=end))
        if len(data) != end - start:
            raise FetchError("range_outside", f"{path}: the file ends inside {start}-{end - 1}", lasting=True)
        return data

    def get(self, path: str, *, limit: int) -> tuple[int, bytes]:
        try:
            return 200, self._ask(path, lambda full: self._files.cat_file(full, start=0, end=limit))
        except FetchError as error:
            if error.reason != "http_404":
                raise
            return 404, b""

    def stop(self) -> None:
        pass

    def close(self) -> None:
        pass

    def _ask(self, path: str, ask: Any) -> Any:
        self.requests += 1
        try:
            answer = ask(f"{self._base}/{path}")
        except FileNotFoundError as error:
            raise FetchError("http_404", f"{self._base}/{path} does not exist", lasting=True) from error
        except OSError as error:
            raise FetchError("unreachable", f"{self._base}/{path}: {error}", lasting=False) from error
        self.received += len(answer) if isinstance(answer, bytes) else 0
        return answer
