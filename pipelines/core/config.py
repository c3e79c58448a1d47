"""The base of every configuration model.

A component owns its configuration: a frozen pydantic model in the component's chapter, a sentence on every field.
The project file is the tree of these models (`pipelines/project.py`). What a stage's output depends on is its
`identity()`: every field except those that only say where or how fast (workers, paths, host names), which carry
`operational(...)` instead of `Field(...)` and never enter a digest.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Config(BaseModel):
    """A frozen configuration model that rejects unknown fields and numbers that are not finite (JSON has none)."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    def identity(self) -> dict[str, Any]:
        """The JSON-ready values that decide the output: all fields but the operational ones, nested models included."""
        values: dict[str, Any] = {}
        for name, field in type(self).model_fields.items():
            if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("operational"):
                continue
            values[name] = _identity_of(getattr(self, name))
        return values


def _identity_of(value: Any) -> Any:
    if isinstance(value, Config):
        return value.identity()
    if isinstance(value, dict):
        return {str(key): _identity_of(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_identity_of(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(_identity_of(item) for item in value)
    return value


def operational(default: Any, description: str, **constraints: Any) -> Any:
    """A field that changes speed or place but never the output, so it stays out of every identity."""
    return Field(default=default, description=description, json_schema_extra={"operational": True}, **constraints)
