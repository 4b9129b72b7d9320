"""The bundled recipes: what each is for, and how large it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .training import load_config
from .values import bundled_configs


def describe_recipes() -> list[dict[str, Any]]:
    """One entry a bundled recipe: `name`, `purpose` (the first line of its file), `size`, `starts_from`."""
    entries = []
    for name, path in bundled_configs().items():
        config = load_config(name)
        entries.append(
            {"name": name, "purpose": purpose_of(path), "size": config.size, "starts_from": config.starts_from}
        )
    return entries


def purpose_of(path: Path) -> str:
    """The first line of a recipe, which is a comment."""
    first = path.read_text(encoding="utf-8").split("\n", 1)[0]
    return first.lstrip("# ").strip() if first.startswith("#") else ""


def recipe_table(entries: list[dict[str, Any]]) -> str:
    """The recipes for a person."""
    lines = []
    for entry in entries:
        after = f"; starts from {entry['starts_from']}" if entry["starts_from"] else ""
        lines += [entry["name"], f"    {entry['purpose']}", f"    {entry['size']}{after}"]
    return "\n".join(lines)
