"""A second reading of RFC 9309, from its text alone, as an oracle for the parser that the crawler uses.

One liberty: a line of another record (`Crawl-delay`, `Noindex`) between two groups ends the first one's list of agents,
as parsers of the field do; the RFC's grammar would let the agents behind it join the group.
"""

import re
from urllib.parse import quote

_OTHER_RECORDS = ("sitemap", "host")


class Reference:
    """The groups of one file; `patterns` are the paths of its rules as written."""

    def __init__(self, text: str) -> None:
        self.patterns: list[str] = []
        self._groups: list[tuple[list[str], list[tuple[int, bool, re.Pattern[str]]]]] = []
        closed = True
        for line in re.split(r"\r\n|\r|\n", text):
            key, colon, value = (part.strip() for part in line.partition("#")[0].partition(":"))
            key = key.lower()
            if not colon or key in _OTHER_RECORDS:
                continue
            if key == "user-agent":
                if closed:
                    self._groups.append(([], []))
                    closed = False
                self._groups[-1][0].append(value.lower())
                continue
            closed = True
            if key in ("allow", "disallow") and value and self._groups:
                pattern = _encoded(value)
                self._groups[-1][1].append((len(pattern), key == "allow", _compiled(pattern)))
                self.patterns.append(value)

    def allows(self, path: str, agent: str) -> bool:
        """Section 2.2.2: the longest matching pattern decides, `allow` where two are equal; /robots.txt is allowed."""
        rules = [rule for agents, rules in self._groups if agent.lower() in agents for rule in rules]
        if not any(agent.lower() in agents for agents, _ in self._groups):
            rules = [rule for agents, rules in self._groups if "*" in agents for rule in rules]
        encoded = _encoded(path)
        matching = [(length, allow) for length, allow, pattern in rules if pattern.match(encoded)]
        return path == "/robots.txt" or max(matching, default=(0, True))[1]


def _encoded(text: str) -> str:
    escaped = quote(text, safe="/%*$?=&:;,+@!~'()-_.")
    return re.sub(r"%([0-9a-fA-F]{2})", lambda match: f"%{match[1].upper()}", escaped)


def _compiled(pattern: str) -> re.Pattern[str]:
    end = pattern.endswith("$")
    body = "".join(".*" if character == "*" else re.escape(character) for character in pattern.removesuffix("$"))
    return re.compile(body + ("$" if end else ""), re.DOTALL)
