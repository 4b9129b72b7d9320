"""From YAML files and dotted overrides to typed sections, strict about names: an unknown one gets a guess."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from ...core.errors import KindError, UsageError, one_line
from ...core.near_names import did_you_mean

Section = TypeVar("Section")


def build(kind: type[Section], values: dict[str, Any]) -> Section:
    """The dataclass `kind` with these options, sections within sections included.

    Raises:
        ValueError, TypeError: an unknown option, a value of the wrong type or without sense; the option is named.
    """
    return _typed(kind, values, "", kind)


def _typed(kind: Any, value: Any, where: str, root: Any) -> Any:
    """Convert a YAML value to the annotated type `kind`, naming `where` in every error; `root` is the whole section."""
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise KindError(f"{where}: expected a mapping, got {type(value).__name__}")
        hints = typing.get_type_hints(kind)
        unknown = sorted(set(map(str, value)) - set(hints))
        if unknown:
            name = f"{where}.{unknown[0]}".lstrip(".")
            raise UsageError(
                f"{name}: unknown option; {_nearest(unknown[0], hints, root)}known here: {', '.join(hints)}"
            )
        arguments = {
            name: _typed(hints[name], part, f"{where}.{name}".lstrip("."), root) for name, part in value.items()
        }
        missing = [
            f.name
            for f in dataclasses.fields(kind)
            if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING and f.name not in arguments
        ]
        if missing:
            raise UsageError(f"{where or 'configuration'}: missing {', '.join(missing)}")
        return typing.cast(Any, kind)(**arguments)
    origin = typing.get_origin(kind)
    if origin is types.UnionType:  # only ever a type or nothing
        (inner,) = (one for one in typing.get_args(kind) if one is not type(None))
        return None if value is None else _typed(inner, value, where, root)
    if origin is Literal:
        choices = typing.get_args(kind)
        # YAML reads a bare `no` as False.
        value = "no" if value is False and "no" in choices else value
        if value not in choices:
            raise UsageError(f"{where}: got {value!r}; accepted: {', '.join(map(repr, choices))}")
        return value
    if origin is list:
        if not isinstance(value, list):
            raise KindError(f"{where}: expected a list, got {type(value).__name__}")
        (inner,) = typing.get_args(kind)
        return [_typed(inner, part, f"{where}[{position}]", root) for position, part in enumerate(value)]
    if origin is dict:
        if not isinstance(value, dict):
            raise KindError(f"{where}: expected a mapping, got {type(value).__name__}")
        _, inner = typing.get_args(kind)
        return {str(name): _typed(inner, part, f"{where}.{name}", root) for name, part in value.items()}
    if kind is Any:
        return value
    if kind is str and value is None:
        return ""  # the override `backbone_weights=` takes a text away
    if kind is float and not isinstance(value, bool):
        try:
            return float(value)  # also "6e-4", which YAML reads as text
        except (TypeError, ValueError):
            pass
    elif (kind is int and isinstance(value, int) and not isinstance(value, bool)) or (
        kind in (bool, str) and isinstance(value, kind)
    ):
        return value
    raise KindError(f"{where}: expected {kind.__name__}, got {value!r} ({type(value).__name__})")


def _option_names(kind: Any, prefix: str = "") -> dict[str, str]:
    """Dotted names of all options of a section and its sections, with their last parts."""
    names = {}
    for name, hint in typing.get_type_hints(kind).items():
        names[prefix + name] = name
        if dataclasses.is_dataclass(hint):
            names |= _option_names(hint, f"{prefix}{name}.")
    return names


def _nearest(name: str, known: Iterable[str], root: Any) -> str:
    """A guess at what an unknown `name` was meant to be: an option of the same section, or else one of another."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    if not near:
        everywhere = _option_names(root)
        last = difflib.get_close_matches(name, list(everywhere.values()), n=1, cutoff=0.8)
        near = [dotted for dotted, part in everywhere.items() if last and part == last[0]]
    return f"did you mean {near[0]}? " if near else ""


def apply_override(values: dict[str, Any], override: str) -> None:
    """Change nested `values` in place by one `dotted.key=value`; list positions are numbers, values are YAML."""
    path, separator, text = override.partition("=")
    if not separator or not path:
        raise UsageError(f"override: got {override!r}; expected key=value, such as optimizer.learning_rate=1e-3")
    *parents, last = path.strip().split(".")
    node: Any = values
    try:
        for key in parents:
            node = node[int(key)] if isinstance(node, list) else node.setdefault(key, {})
        value = yaml.safe_load(text)
        if isinstance(node, list):
            node[int(last)] = value
        elif isinstance(node, dict):
            node[last] = value
        else:
            raise KindError
    except (TypeError, ValueError, IndexError, AttributeError):
        raise UsageError(f"override: {override!r} does not name an option of the configuration") from None


def bundled_configs() -> dict[str, Path]:
    """Names and files of the configurations that come with the package."""
    folder = Path(__file__).parent.parent / "configs"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"), key=lambda path: path.stem)}


def read_values(name_or_path: str | Path, derived: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The options of a file on top of those of its `base`, where it names one; `derived` are the files on the way."""
    bundled = bundled_configs()
    path = bundled.get(str(name_or_path), Path(name_or_path))
    if not path.is_file() and derived:
        path = derived[-1].parent / name_or_path
    if not path.is_file():
        raise FileNotFoundError(
            f"configuration {str(name_or_path)!r} is neither a file nor one of the bundled: {', '.join(bundled)}"
            f"{did_you_mean(str(name_or_path), bundled)}"
        )
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not valid YAML ({one_line(error)})") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path}: expected a mapping of options, got {type(values).__name__}")
    base = values.pop("base", None)
    if base is None:
        return values
    if path.resolve() in derived:
        raise UsageError(f"{path}: base: {base!r} leads back to this file")
    return _merged(read_values(base, (*derived, path.resolve())), values)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Mappings are merged, everything else, lists too, is taken from `above`."""
    merged = dict(below)
    for name, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = _merged(merged[name], value) if both else value
    return merged
