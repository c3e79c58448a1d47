"""The child of the Stack Exchange reader: writes one member of a 7z archive into a file, within the limits."""

import sys
from pathlib import Path
from typing import Any

from pipelines.corpus.acquisition.guarded.child import guard, refuse


def main() -> None:
    """`python -m` with limits, the archive, the member's file name, and where to write it."""
    limits, path, member, target = sys.argv[1:5]
    guard(limits)
    import py7zr

    class Sink(py7zr.Py7zIO):
        """The member as it is decompressed, straight to the file."""

        def __init__(self) -> None:
            self._stream = Path(target).open("wb")  # noqa: SIM115 (closed in main, when the archive is)
            self._written = 0

        def write(self, data: bytes | bytearray) -> int:
            self._stream.write(data)
            self._written += len(data)
            return len(data)

        def read(self, size: int | None = None) -> bytes:
            return b""

        def seek(self, offset: int, whence: int = 0) -> int:
            return 0

        def flush(self) -> None:
            self._stream.flush()

        def size(self) -> int:
            return self._written

    class Sinks(py7zr.WriterFactory):
        def create(self, filename: str, *_: Any) -> Sink:
            return Sink()

    try:
        with py7zr.SevenZipFile(path) as archive:
            if archive.needs_password():
                refuse("encrypted", "the archive asks for a password")
            names = [name for name in archive.getnames() if name.rpartition("/")[2] == member]
            if len(names) != 1:
                refuse("no_text", f"{len(names)} members are called {member}, not one")
            archive.extract(targets=names, factory=Sinks())
    except py7zr.exceptions.ArchiveError as error:
        refuse("unreadable_file", f"{type(error).__name__}: {error}")
    except OSError as error:
        refuse("expansion_limit" if error.errno == 27 else "unreadable_file", error.strerror or "no reason given")


if __name__ == "__main__":
    main()
