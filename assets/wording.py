"""Values and crawled text on a terminal."""

from typing import Any


def shown(value: Any) -> str:
    """A value or threshold for people."""
    if isinstance(value, float):
        return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.4g}"
    return ", ".join(value) if isinstance(value, list | tuple) else str(value)


def printable(text: str) -> str:
    """Text of a crawl for a terminal: what would move the cursor or turn the line around is shown as an escape."""
    return "".join(
        item if item.isprintable() else item.encode("unicode_escape", "surrogatepass").decode() for item in text
    )
