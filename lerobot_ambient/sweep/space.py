# SPDX-License-Identifier: Apache-2.0
"""The search space of a sweep: which options of the policy vary, and between which values.

A key is the path of an option as `--policy.<path>` names it: `sources.0.sigma_min`, `mixing.alpha`, `mixing.type`,
`optimizer_lr`. Its value is one of

    [0.05, 0.6]                                two numbers: a range, both ends included
    {low: 0.0001, high: 0.01, log: true}       the same, drawn on a logarithmic scale; `step: 0.05` makes it discrete
    [ambient, cotrain]                         any other list: choices
    {choices: [0.1, 0.5]}                      choices, also where two numbers would mean a range
    {value: [0.0, 1.0]}                        no search: set where it is read

An option that the drawn mixing does not read is neither drawn nor set: `mixing.alpha` under `exclusive`, the windows
of the sources under `cotrain`, anything about the sources under `target_only`.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.trial import BaseTrial

from lerobot_ambient.policy.options.mixing import MixingConfig
from lerobot_ambient.policy.options.mixture_options import MixtureOptions

MIXING = "mixing.type"
_WINDOW_OPTIONS = ("sigma_min", "sigma_max", "windows")
_COMBINATIONS = 128
_FORMS = (
    "write [low, high], {low: ..., high: ..., log: true}, a list of choices, {choices: [...]} or {value: ...}, "
    'e.g. {"sources.0.sigma_min": [0.05, 0.6], "mixing.type": ["ambient", "cotrain"]}'
)


@dataclass(frozen=True)
class Space:
    """Distributions and fixed values by path.

    Args:
        distributions: what is searched.
        fixed: what is set, where the mixing reads it.
        mixing: the mixing's type where neither of them names one.
    """

    distributions: Mapping[str, BaseDistribution]
    fixed: Mapping[str, Any]
    mixing: str

    def __post_init__(self) -> None:
        if not self.distributions:
            raise ValueError(f"--space names nothing to search: {_FORMS}.")

    def mixing_of(self, params: Mapping[str, Any]) -> str:
        """The mixing's type under these parameters."""
        return str(params.get(MIXING, self.fixed.get(MIXING, self.mixing)))

    def draw(self, trial: BaseTrial) -> dict[str, Any]:
        """One point of the space: the options that are read, in the order of the space, the mixing's type first."""
        params: dict[str, Any] = {}
        for path in sorted(self.distributions, key=lambda path: path != MIXING):
            if is_read(path, self.mixing_of(params)):
                params[path] = _suggest(trial, path, self.distributions[path])
        return params

    def grid(self) -> list[dict[str, Any]]:
        """Every distinct point, the last path varying fastest.

        Raises:
            ValueError: a range without `step` has no end of points.
        """
        paths = sorted(self.distributions, key=lambda path: path != MIXING)
        points: list[dict[str, Any]] = []
        for values in itertools.product(*(_values(path, self.distributions[path]) for path in paths)):
            params = dict(zip(paths, values, strict=True))
            mixing = self.mixing_of(params)
            point = {path: value for path, value in params.items() if is_read(path, mixing)}
            if point not in points:
                points.append(point)
        return points

    def corners(self) -> Iterator[dict[str, Any]]:
        """Every choice and both ends of every range under every mixing; and combinations of them, as far as few."""
        for mixing in _extremes(self.distributions[MIXING]) if MIXING in self.distributions else [None]:
            start = {} if mixing is None else {MIXING: mixing}
            read = {
                path: _extremes(distribution)
                for path, distribution in self.distributions.items()
                if path != MIXING and is_read(path, self.mixing_of(start))
            }
            for turn in range(max(map(len, read.values()), default=1)):
                yield start | {path: values[turn % len(values)] for path, values in read.items()}
            for values in itertools.islice(itertools.product(*read.values()), _COMBINATIONS):
                yield start | dict(zip(read, values, strict=True))

    def apply(self, policy: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of the policy's options, nested as in a configuration file, with these parameters set."""
        result: dict[str, Any] = copy.deepcopy(dict(policy))
        mixing = self.mixing_of(params)
        values = {path: value for path, value in {**self.fixed, **params}.items() if is_read(path, mixing)}
        if any(path.startswith("mixing.") for path in values):
            kept = {name: value for name, value in result.get("mixing", {}).items() if name in _mixing_options(mixing)}
            result["mixing"] = {"type": mixing, **kept}
        # A list before its entries.
        for path in sorted(values, key=lambda path: path.count(".")):
            _set(result, path.split("."), copy.deepcopy(values[path]))
        return result

    def to_dict(self) -> dict[str, Any]:
        """Plain values that define the space."""
        return {
            "distributions": {path: json.loads(distribution_to_json(one)) for path, one in self.distributions.items()},
            "fixed": dict(self.fixed),
        }


def is_read(path: str, mixing: str) -> bool:
    """Whether a mixing of this type reads the option at `path`."""
    parts = path.split(".")
    if parts[0] == "mixing":
        return path == MIXING or parts[1] in _mixing_options(mixing)
    if parts[0] == "sources":
        return mixing != "target_only" and not (mixing == "cotrain" and parts[2] in _WINDOW_OPTIONS)
    return True


def read_space(text: str, policy: MixtureOptions) -> Space:
    """The space that `--space` declares: a YAML or JSON mapping, or the name of a file that holds one.

    Args:
        text: what was given.
        policy: the configuration that the paths lead into.

    Raises:
        ValueError: not a mapping, a path that leads nowhere, or a declaration that is none of the forms above.
        FileNotFoundError: no such file.
    """
    declared = _parse(text if text.lstrip().startswith("{") else _content(Path(text)))
    if not isinstance(declared, dict):
        raise ValueError(f"--space must map paths to values, got {declared!r}: {_FORMS}.")
    fixed = {path: one["value"] for path, one in declared.items() if isinstance(one, dict) and set(one) == {"value"}}
    base = MixingConfig.get_choice_name(type(policy.mixing))
    types = [fixed.get(MIXING, base)]
    if MIXING in declared and MIXING not in fixed:
        one = declared[MIXING]
        types = one.get("choices", []) if isinstance(one, dict) else one if isinstance(one, list) else []
    unknown = [name for name in types if name not in MixingConfig.get_known_choices()]
    if unknown:
        raise ValueError(
            f"--space: {MIXING} = {unknown[0]!r} is none of {', '.join(MixingConfig.get_known_choices())}."
        )
    distributions = {}
    for path, one in declared.items():
        hint = _hint(policy, path, types, fixed)
        if path not in fixed:
            distributions[path] = _distribution(path, one, hint)
    return Space(distributions, fixed, base)


def _content(file: Path) -> str:
    if not file.is_file():
        raise FileNotFoundError(f"--space={file}: no such file in {file.absolute().parent}. Or {_FORMS}.")
    return file.read_text(encoding="utf-8")


def _parse(text: str) -> Any:
    try:
        # JSON first: YAML takes its 1e-4 for a word.
        return json.loads(text)
    except json.JSONDecodeError:
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(f"--space is neither JSON nor YAML: {error}") from error


def _distribution(path: str, declared: Any, hint: Any) -> BaseDistribution:
    if isinstance(declared, list):
        pair = len(declared) == 2 and all(map(_is_number, declared))
        declared = {"low": declared[0], "high": declared[1]} if pair else {"choices": declared}
    keys = set(declared) if isinstance(declared, dict) else set()
    try:
        if keys == {"choices"} and isinstance(declared["choices"], list) and declared["choices"]:
            if not all(isinstance(choice, str | int | float | bool | None) for choice in declared["choices"]):
                raise ValueError("a choice must be a word, a number, true, false or null; set others with value")
            return CategoricalDistribution(declared["choices"])
        if {"low", "high"} <= keys <= {"low", "high", "log", "step"}:
            return _range(declared["low"], declared["high"], declared.get("log", False), declared.get("step"), hint)
    except (ValueError, TypeError) as error:
        raise ValueError(f"--space: {path}: {declared}: {str(error).rstrip('.')}.") from error
    raise ValueError(f"--space: {path}: {declared!r} is no declaration; {_FORMS}.")


def _range(low: Any, high: Any, log: Any, step: Any, hint: Any) -> BaseDistribution:
    if hint in (str, bool):
        raise ValueError(f"a {hint.__name__} has no range; give choices")
    if not (_is_number(low) and _is_number(high) and (step is None or _is_number(step)) and isinstance(log, bool)):
        raise ValueError("low, high and step are numbers (0.0001, in YAML not 1e-4), log is true or false")
    if hint not in (int, int | None):
        return FloatDistribution(low, high, log=log, step=step)
    step = 1 if step is None else step
    if not all(float(value).is_integer() for value in (low, high, step)):
        raise ValueError("this option is a whole number, so its range needs whole numbers")
    return IntDistribution(int(low), int(high), log=log, step=int(step))


def _hint(policy: MixtureOptions, path: str, types: Sequence[str], fixed: Mapping[str, Any]) -> Any:
    """The declared type of the option at `path`; where types of the mixing differ, any that has it."""
    hint: Any = None
    node: Any = policy
    parts = str(path).split(".")
    for depth, part in enumerate(parts):
        here = ".".join(parts[:depth])
        if here == "mixing":
            owners = [MixingConfig.get_choice_class(name) for name in types]
            known = {"type": str} | {name: hint for owner in owners for name, hint in _options(owner).items()}
        elif dataclasses.is_dataclass(node):
            known = _options(type(node))
        elif isinstance(node, list | tuple):
            known = {str(index): type(value) for index, value in enumerate(node)}
        elif isinstance(node, dict):
            known = {str(key): type(value) for key, value in node.items()}
        else:
            known = {}
        if part not in known:
            names = ", ".join(known) if known else "nothing"
            raise ValueError(f"--space: '{path}' leads nowhere: {f'policy.{here}'.rstrip('.')} holds {names}.")
        hint = known[part]
        inner = node[int(part)] if isinstance(node, list | tuple) else getattr(node, part, None)
        node = fixed.get(".".join(parts[: depth + 1]), node[part] if isinstance(node, dict) else inner)
    if path != MIXING and (path in ("mixing", "sources") or dataclasses.is_dataclass(node)):
        raise ValueError(f"--space: '{path}' is a whole; name one of its options: {', '.join(_names_below(node))}.")
    return hint


def _names_below(node: Any) -> list[str]:
    if isinstance(node, list):
        return [f"{index}.{name}" for index, one in enumerate(node) for name in _options(type(one))]
    return ["type", *_options(type(node))] if isinstance(node, MixingConfig) else list(_options(type(node)))


def _options(owner: type) -> dict[str, Any]:
    hints = typing.get_type_hints(owner)
    return {field.name: hints[field.name] for field in dataclasses.fields(owner) if field.init}


def _mixing_options(mixing: str) -> list[str]:
    return [field.name for field in dataclasses.fields(MixingConfig.get_choice_class(mixing))]


def _set(node: Any, parts: Sequence[str], value: Any) -> None:
    for part in parts[:-1]:
        node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
    if isinstance(node, list):
        node[int(parts[-1])] = value
    else:
        node[parts[-1]] = value


def _suggest(trial: BaseTrial, path: str, distribution: BaseDistribution) -> Any:
    match distribution:
        case CategoricalDistribution():
            return trial.suggest_categorical(path, distribution.choices)
        case IntDistribution(low=low, high=high, log=log, step=step):
            return trial.suggest_int(path, low, high, log=log, step=step)
        case FloatDistribution(low=low, high=high, log=log, step=step):
            return trial.suggest_float(path, low, high, log=log, step=step)
    raise AssertionError(distribution)


def _values(path: str, distribution: BaseDistribution) -> Sequence[Any]:
    match distribution:
        case CategoricalDistribution():
            return distribution.choices
        case IntDistribution(low=low, high=high, step=step):
            return range(low, high + 1, step)
        case FloatDistribution(low=low, high=high, step=float(step)):
            return [round(low + index * step, 12) for index in range(round((high - low) / step) + 1)]
    raise ValueError(
        f"--sampler=grid: {path} is a range without end of points; give it a step, e.g. {{low: 0.1, high: 0.5, "
        "step: 0.1}, or choices."
    )


def _extremes(distribution: BaseDistribution) -> Sequence[Any]:
    match distribution:
        case CategoricalDistribution():
            return distribution.choices
        case IntDistribution(low=low, high=high) | FloatDistribution(low=low, high=high):
            return [low, high]
    raise AssertionError(distribution)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
