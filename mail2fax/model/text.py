"""Text for people, made to fit."""


def cut(text: str, most: int) -> str:
    """The text, of `most` characters at the most; an ellipsis says that there was more."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
