"""Published lists of topics (Llama-3-SynE, arXiv 2407.18743: eleven for English and eleven for Chinese text)."""

from collections.abc import Mapping
from typing import Final

UNCERTAIN: Final = "uncertain"
"""The topic of a document whose likeliest one is too unlikely."""
TAXONOMIES: Final[Mapping[str, tuple[str, ...]]] = {
    "llama3_syne_en": (
        "mathematics_physics",
        "computer_science_engineering",
        "biology_chemistry",
        "history_geography",
        "law_policy",
        "philosophy_logic",
        "economics_business",
        "psychology_sociology",
        "security_international_relations",
        "medicine_health",
        "others",
    ),
    "llama3_syne_zh": (
        "biology_chemistry",
        "computer_science_engineering",
        "economics_business",
        "history_geography",
        "law_policy",
        "mathematics_physics",
        "medicine_health",
        "philosophy_arts_culture",
        "project_practical_management",
        "psychology_sociology_education",
        "others",
    ),
}
