"""Configuration of the attribute family `sensitive_spans`."""

from typing import Literal

from pydantic import Field

from pipelines.core.config import Config

SensitiveKind = Literal["email", "phone_number", "ip_address"]


class SensitiveSpansConfig(Config):
    """Which kinds of personal data are looked for; what is done with a hit is decided in cleaning."""

    kinds: tuple[SensitiveKind, ...] = Field(
        default=("email", "phone_number", "ip_address"),
        description="Kinds of spans to find; leaving one out also leaves its text untouched in cleaning.",
    )
