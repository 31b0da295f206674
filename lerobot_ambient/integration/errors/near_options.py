# SPDX-License-Identifier: Apache-2.0
"""The options nearest to one that is not there.

draccus reads the options of every policy, environment and robot at once, so the nearest of all may belong to another
type than the chosen one. What is proposed is what the chosen types take. The fields of a source are no options, they
stand inside `--policy.sources`; a word that means one is answered with the list to write.
"""

from __future__ import annotations

import difflib
import json
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import yaml

from lerobot_ambient.integration.errors.error_report import CONFIG_SUFFIXES, options_of

MISSPELT = 0.8
"""How alike a word and a name are from where on the one is taken for the other; LeRobot's `diffusion` is at 0.69."""

_BESIDE = 0.6
"""The same for a name in the group that was typed, which leaves fewer to choose from."""

_MANY = 30
"""Names; more are not listed in a message."""

_SOURCES = "--policy.sources"
_NO_HINT = "; --help lists what there is."


_verb: ContextVar[tuple[str, ...]] = ContextVar("verb", default=())


@contextmanager
def options_of_verb(options: Iterable[str]) -> Iterator[None]:
    """Propose these options too: those of the verb that runs, which are taken out before LeRobot parses the others."""
    before = _verb.set(tuple(options))
    try:
        yield
    finally:
        _verb.reset(before)


def verb_options() -> tuple[str, ...]:
    """The options of the verb that runs; none in a command of LeRobot."""
    return _verb.get()


def alike(one: str, other: str) -> float:
    """How alike two words are, in [0, 1]."""
    return difflib.SequenceMatcher(None, one, other).ratio()


def near_names(wrong: Iterable[str], known: Sequence[str]) -> str:
    """A hint with the known names nearest to each wrong one; with all of them where none is near and they are few."""
    found: list[str] = []
    for name in wrong:
        scores = {other: alike(name, other) for other in known}
        scores = {other: score for other, score in scores.items() if score >= _BESIDE}
        found += _best(scores) if scores else known
    return _hint(list(dict.fromkeys(found)))


def chosen_types(words: Sequence[str], config_file: Any = None) -> dict[str, str]:
    """The types that a command line and the configuration file beside it choose, such as {"policy": "diffusion"}."""
    chosen: dict[str, str] = {}
    for file in [config_file, *(value for option, value in options_of(words) if option == "--config_path")]:
        if file is not None:
            chosen |= _types_in(_content(Path(file)))
    typed = {option[2:].removesuffix(".type"): v for option, v in options_of(words) if option.endswith(".type")}
    return chosen | typed


def config_file_typed() -> str | None:
    """The configuration file that this program was given."""
    return next((value for option, value in options_of(sys.argv[1:]) if option == "--config_path"), None)


def choices_of(cls: Any) -> dict[str, type]:
    """The types, by name, of what draccus chooses by `type`; none of any other class."""
    return dict(cls.get_known_choices()) if hasattr(cls, "get_known_choices") else {}


def _content(file: Path) -> Any:
    if file.suffix not in CONFIG_SUFFIXES or not file.is_file():
        return None
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))  # JSON as well, which is YAML.
    except (OSError, ValueError, yaml.YAMLError):
        return None  # Whoever reads it for its content tells of it.


def _types_in(values: Any, place: str = "") -> dict[str, str]:
    if not isinstance(values, Mapping):
        return {}
    found = {place: str(values["type"])} if place and "type" in values else {}
    for key, value in values.items():
        found |= _types_in(value, f"{place}.{key}" if place else str(key))
    return found


def offered(known: Iterable[str], config_class: type, chosen: Mapping[str, str]) -> list[str]:
    """Those of the known options that the chosen types take.

    Args:
        known: options, such as "--policy.horizon".
        config_class: what they configure.
        chosen: the name of a type by its place; where none is chosen the options of every type stay.
    """
    return [option for option in known if _takes(config_class, option[2:].split("."), chosen)]


def _takes(cls: Any, path: Sequence[str], chosen: Mapping[str, str], place: str = "") -> bool:
    types = choices_of(cls)
    if path[0] == "type" and hasattr(cls, "get_known_choices"):
        return True  # Also where none is registered yet.
    if types and cls not in types.values():
        cls = types.get(chosen.get(place, ""))
    if cls is None or not is_dataclass(cls):
        return True
    name, *rest = path
    if name not in {field.name for field in fields(cls)}:
        return not place  # `--config_path`, which is of no class.
    inner: tuple[type, ...] = _classes(cls).get(name, ())  # type: ignore[arg-type]  # A class.
    within = f"{place}.{name}".removeprefix(".")
    return not rest or not inner or any(_takes(one, rest, chosen, within) for one in inner)


@cache
def _classes(cls: Any) -> dict[str, tuple[type, ...]]:
    """Per field of a dataclass the classes it may be of."""
    try:
        hints = get_type_hints(cls)
    except NameError:
        return {}  # A name that is imported for type checkers only: nothing is known of its fields.
    kinds = {name: get_args(hint) or (hint,) for name, hint in hints.items()}
    return {name: tuple(k for k in kind if isinstance(k, type) and k is not NoneType) for name, kind in kinds.items()}


def near_options(
    wrong: Mapping[str, str], known: Sequence[str], chosen: Iterable[str] = (), config_file: str | None = None
) -> str:
    """A hint with the options nearest to those that were typed and are not there.

    Args:
        wrong: value by option, both as they were typed.
        known: the options that there are.
        chosen: groups of which a type was chosen, such as "policy"; of two options alike theirs is nearer.
        config_file: that was given beside the options, if any.
    """
    sources = any(option == _SOURCES for option in known)
    idle = {o[2:].removesuffix(".type") for o in known if o.endswith(".type") and o.count(".") == 1} - {*chosen}
    found: list[str] = []
    for name, value in wrong.items():
        scores = _scores(name, known, idle)
        own = _fields_of_a_source(name) if sources else {}
        if own and ("sources" in name or max(own.values()) > max(scores.values(), default=0.0) + 0.1):
            scores = {}
        near = _best(scores)
        field = _best(own)[:1]
        if field and (not scores or own[field[0]] > max(scores.values()) - 0.1):
            near.append(_in_a_source(field[0], value, config_file))
        if not near:
            beside = name.rpartition(".")[0]
            near = [option for option in known if beside and option.rpartition(".")[0] == beside]
        found += near
    return _hint(list(dict.fromkeys(found)))


def near_field(wrong: Mapping[str, str], cls: type, config_file: str | None) -> str:
    """A hint where fields that a class of ours has not are those of another one; empty where they are not.

    Args:
        wrong: value by option; the option says where the field stands, e.g. "--policy.sigma_min".
        cls: the class it was looked for in.
        config_file: that was given beside the options, if any.
    """
    from lerobot_ambient.data.declared.sources import Source
    from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig
    from lerobot_ambient.policy.options.mixing import MixingConfig
    from lerobot_ambient.policy.options.mixture_options import MixtureOptions

    places: list[str] = []
    for option, value in wrong.items():
        name = option.rpartition(".")[2]
        if cls is not Source and name in (field.name for field in fields(Source)):
            places.append(_in_a_source(name, value, config_file))
            continue
        mixings = () if issubclass(cls, MixingConfig) else choices_of(MixingConfig).values()
        if name in (field.name for one in mixings for field in fields(one)):
            places.append(f"--policy.mixing.{name}")
        elif not issubclass(cls, MixtureOptions) and name in (field.name for field in fields(AmbientDiffusionConfig)):
            places.append(f"--policy.{name}")
    return _hint(list(dict.fromkeys(places))) if places else ""


def near_path(path: Path) -> Path | None:
    """What lies where a path that is not there points to, under the nearest name; None where nothing does.

    Only the first folder or file on the way that is missing may be misspelt, with any of a configuration's suffixes.
    """
    missing = path
    while not missing.parent.exists():
        missing = missing.parent
    rest = path.relative_to(missing)
    try:
        names = sorted(one.name for one in missing.parent.iterdir())
    except OSError:
        return None
    scores = {name: _same_file(missing.name.casefold(), name.casefold()) for name in names}
    near = [name for name in names if scores[name] >= MISSPELT and (missing.parent / name / rest).exists()]
    return missing.with_name(max(near, key=scores.__getitem__)) / rest if near else None


def _same_file(word: str, name: str) -> float:
    """How sure it is that a name is meant by a word, from MISSPELT on; a configuration's suffix may differ."""
    one, other = Path(word), Path(name)
    if other.suffix not in CONFIG_SUFFIXES or one.suffix not in ("", *CONFIG_SUFFIXES):
        return alike(word, name)
    # Few files are configurations, so a shorter likeness is enough.
    same = alike(one.stem, other.stem)
    return MISSPELT + (1.0 - MISSPELT) * (0.9 * same + 0.1 * (word == name)) if same >= _BESIDE else 0.0


def _scores(name: str, known: Iterable[str], idle: set[str]) -> dict[str, float]:
    """How near each option is to a name: by its last part first, then by what stands before it."""
    beside, _, leaf = name.removeprefix("--").rpartition(".")
    scores = {}
    for option in known:
        group, _, last = option[2:].rpartition(".")
        groups = 1.0 if group == beside else alike(group, beside)
        same = alike(leaf, last)
        if same >= (_BESIDE if groups >= MISSPELT else MISSPELT):
            unlikely = groups < MISSPELT and group.partition(".")[0] in idle
            scores[option] = same + 0.2 * groups - (0.15 if unlikely else 0.0)
    return scores


def _fields_of_a_source(name: str) -> dict[str, float]:
    from lerobot_ambient.data.declared.sources import (
        Source,  # The package is imported without it: it needs torch.
    )

    beside, _, leaf = name.removeprefix("--").rpartition(".")
    inside = "sources" in beside
    groups = 1.0 if inside else alike(beside, _SOURCES[2:])
    scores = {field.name: alike(leaf, field.name) for field in fields(Source)}
    return {key: same + 0.2 * groups for key, same in scores.items() if same >= (_BESIDE if inside else MISSPELT)}


def _in_a_source(field: str, value: str, config_file: str | None) -> str:
    """Where a field of a source is written, with the value that was typed."""
    if config_file is not None and Path(config_file).suffix in CONFIG_SUFFIXES:
        return f"{field}: {value or '...'} under its source in {config_file}"
    try:
        meant = yaml.safe_load(value)
    except yaml.YAMLError:
        meant = value
    meant = "..." if meant is None else meant
    source = {"repo_id": meant} if field == "repo_id" else {"repo_id": "me/sim", field: meant}
    return f"{_SOURCES}={shlex.quote(json.dumps([source], default=str))}"


def _best(scores: Mapping[str, float]) -> list[str]:
    best = max(scores.values(), default=0.0)
    return [name for name in sorted(scores, key=lambda n: -scores[n]) if scores[name] > best - 0.1][:3]


def _hint(found: Sequence[str]) -> str:
    if not 0 < len(found) <= _MANY:
        return _NO_HINT
    return f"; did you mean {' or '.join(found)}?" if len(found) <= 3 else f"; there are {', '.join(found)}."
