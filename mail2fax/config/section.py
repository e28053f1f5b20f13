"""What the sections of the settings share."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """What all sections share: frozen, nothing unknown, no silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def _refuse_idle(self, **needed: tuple[str, ...]) -> None:
        """Raise ValueError when one of these keys is set without the one that it needs: who wrote it believes in it."""
        for other, keys in needed.items():
            for key in keys:
                if getattr(self, key) and not getattr(self, other):
                    raise ValueError(f"{key} needs {other}: without it, it does nothing")
