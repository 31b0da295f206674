# SPDX-License-Identifier: Apache-2.0
"""One training configuration as a file: what was typed, and the sources as they were aligned.

The file holds what differs from LeRobot's and the policy's defaults, and nothing else, so that a person can read it.
It is written at once, and only after it was read back as `lerobot-train` reads it and gave the same configuration.
"""

from __future__ import annotations

import json
import logging
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import draccus
import yaml
from lerobot.configs.default import DatasetConfig
from lerobot.configs.train import TrainPipelineConfig

from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.files.config_path import SUFFIXES, require_free
from lerobot_ambient.data.files.replace_file import replace_file
from lerobot_ambient.data.suggest.as_yaml import sources_block
from lerobot_ambient.data.suggest.config_comments import carry_comments
from lerobot_ambient.data.suggest.config_windows import OPTIONS, FoundWindow, merge_windows
from lerobot_ambient.data.suggest.suggest import Suggestion, plain
from lerobot_ambient.integration.training.configured_mixture import load_train_config
from lerobot_ambient.policy.options.train_config import TrainConfig

_WIDTH = 110


def compose(cfg: TrainConfig, sources: str, written_by: str) -> str:
    """The text of a configuration file.

    Args:
        cfg: LeRobot's training configuration with our policy.
        sources: the list under `policy: sources:`, each line indented; see `sources_block`.
        written_by: the command, for the first line.
    """
    options = _changed_options(cfg)
    policy, dataset = options.pop("policy"), options.pop("dataset")
    policy = {
        "type": cfg.policy.type,
        **{key: value for key, value in policy.items() if key not in ("type", "sources")},
    }
    head = [
        f"# Written by `{written_by}`: an ordinary configuration of lerobot-train.",
        "# Paths that do not begin with a slash start in the folder from which a command is typed.",
    ]
    if cfg.policy.push_to_hub and not cfg.policy.repo_id:
        # LeRobot would refuse the training: it pushes by default, and there is no name.
        policy["push_to_hub"] = False
    kept = "  # the policy stays on this machine; to share it write repo_id: me/policy here instead"
    body = _block({"dataset": dataset}) + _block({"policy": policy})
    body = body.replace("  push_to_hub: false\n", f"  push_to_hub: false{kept}\n", 1)
    return "\n".join(head) + f"\n{body}  sources:\n{sources}\n{_block(options)}"


def write_suggested(
    cfg: TrainConfig, suggestions: Sequence[Suggestion], path: Path, written_by: str, *, read: str = "", overwrite: bool
) -> None:
    """Write a configuration whose sources are those that were suggested; `cfg` has them afterwards.

    Args:
        cfg: the configuration.
        suggestions: for each of its sources.
        path: of the file.
        written_by: the command, for the first line.
        read: the text that the configuration was read from, whose comments are carried over.
        overwrite: whether a file that is there may be replaced.

    Raises:
        ValueError: a file that is there and may not be replaced.
    """
    cfg.policy.sources = [draccus.decode(Source, dict(suggestion.config)) for suggestion in suggestions]
    text = compose(cfg, sources_block(suggestions), written_by)
    write_config(path, carry_comments(read, text), cfg, overwrite=overwrite)


def write_composed(cfg: TrainConfig, path: Path, written_by: str) -> None:
    """Write a configuration as it is; a file that is there is replaced.

    Args:
        cfg: the configuration.
        path: of the file.
        written_by: the command, for the first line.

    Raises:
        ValueError: a name that is not that of a configuration, or one that a file cannot hold.
    """
    text = compose(cfg, _sources_as_declared(cfg.policy.sources), written_by)
    write_config(path, text, cfg, overwrite=True)


def text_read(config_path: str | None) -> str:
    """The text of the YAML file that a configuration was read from; empty where it was none."""
    if config_path is None or Path(config_path).suffix not in SUFFIXES or not Path(config_path).is_file():
        return ""
    return Path(config_path).read_text(encoding="utf-8")


def _sources_as_declared(sources: Sequence[Source]) -> str:
    """The list under `policy: sources:` of sources as they are, each line indented."""
    return textwrap.indent(_block([plain(source) for source in sources]), " " * 4).rstrip("\n")


@dataclass(frozen=True)
class ConfigWithWindows:
    """A configuration file that is to get the windows which `annotate` finds; planned before the work, written after.

    Args:
        path: of the file.
        cfg: what the file is to say, but for the windows.
        text: of the configuration that is copied, with its comments; None where the file is composed from `cfg`.
        read: the text that `cfg` was read from, whose comments are carried over to a file that is composed.
    """

    path: Path
    cfg: TrainConfig
    text: str | None
    read: str = ""

    @classmethod
    def plan(cls, cfg: TrainConfig, config_path: str | None, path: Path, *, overwrite: bool) -> ConfigWithWindows:
        """Decide what is written where.

        A YAML file that was read, and whose sources are those that are annotated, is copied or changed in place;
        options that were typed beside it are not put into it.

        Raises:
            ValueError: a file is there and is another one, or its sources have windows already, and neither may be
                replaced.
        """
        text, said = None, text_read(config_path)
        if said:
            with _quietly():
                read = load_train_config(config_path, [])
            if _without_windows(read.policy.sources) == _without_windows(cfg.policy.sources):
                cfg, text = read, said
        if text is None or not path.exists() or not path.samefile(str(config_path)):
            require_free(path, overwrite=overwrite)
        elif not overwrite:
            declared = [s for s in cfg.policy.sources if (s.sigma_min, s.sigma_max, s.windows) != (None, None, None)]
            if declared:
                names = ", ".join(f"'{source.repo_id}'" for source in declared)
                raise ValueError(f"{path} has a window for {names}; add --overwrite to replace it.")
        return cls(path, cfg, text, said)

    def write(self, windows: Sequence[FoundWindow]) -> None:
        """Write the file with the windows of the sources, in their order.

        Raises:
            ValueError: a text that cannot take them.
        """
        text = self.text
        if text is None:
            text = compose(self.cfg, _sources_as_declared(self.cfg.policy.sources), "lerobot-ambient annotate")
            text = carry_comments(self.read, text)
        none: dict[str, Any] = dict.fromkeys(OPTIONS)
        self.cfg.policy.sources = [
            replace(source, **{**none, **window.options}) if window.options else source
            for source, window in zip(self.cfg.policy.sources, windows, strict=True)
        ]
        write_config(self.path, merge_windows(text, windows), self.cfg, overwrite=True)


def _without_windows(sources: Sequence[Source]) -> list[Source]:
    return [replace(source, sigma_min=None, sigma_max=None, windows=None) for source in sources]


def _changed_options(cfg: TrainConfig) -> dict[str, Any]:
    """The options of a training configuration that differ from their defaults, as plain values of YAML."""
    with _quietly():
        default = TrainPipelineConfig(dataset=DatasetConfig(repo_id=""))
        changed = _changed(cfg, _plain(cfg), default)
    return {"dataset": {}, "policy": {}, **changed}


def write_config(path: Path, text: str, cfg: TrainConfig, *, overwrite: bool) -> None:
    """Write a configuration file, if it says what `cfg` says.

    Args:
        path: of the new file; its folder is made.
        text: its content.
        cfg: what reading it must give.
        overwrite: whether a file that is there may be replaced.

    Raises:
        ValueError: a file that is there, or a text that reads differently.
    """
    require_free(path, overwrite=overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    expected = comparable(cfg)
    # Beside the place it goes to: nothing else decides how it is read.
    trial = path.with_name(f".{path.name}.trial{path.suffix}")
    try:
        trial.write_text(text, encoding="utf-8")
        with _quietly():
            read = comparable(load_train_config(str(trial), []))
    finally:
        trial.unlink(missing_ok=True)
    differences = _differences(expected, read)
    if differences:
        raise ValueError(f"{path} was not written, it would not read as it should: {'; '.join(differences)}.")
    replace_file(path, text.encode("utf-8"))


def comparable(cfg: TrainConfig) -> dict[str, Any]:
    """A training configuration as plain values that can be compared; without a name it is not pushed."""
    values = _plain(cfg)
    if values["policy"]["repo_id"] is None:
        values["policy"]["push_to_hub"] = False
    return dict(values)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the warnings that reading a configuration gives: the one that is copied gave them already."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _changed(value: Any, said: Any, default: Any) -> Any:
    """Options that differ from the default's: of a dataclass `value`, which its owner encodes as `said`."""
    if not is_dataclass(value) or not isinstance(said, dict):
        return said
    like = default if type(default) is type(value) else _default_of(type(value))
    usual = None if like is None else _plain(like)
    # One of several kinds is read by its name, and only the owner's encoding has it.
    changed = {"type": said["type"]} if "type" in said else {}
    for field in fields(value):
        if field.init and (usual is None or said[field.name] != usual[field.name]):
            inner = None if like is None else getattr(like, field.name)
            changed[field.name] = _changed(getattr(value, field.name), said[field.name], inner)
    return changed


def _default_of(kind: type[Any]) -> Any:
    try:
        return kind()
    except (TypeError, ValueError):
        # Some kinds cannot be without a value, e.g. soft mixing without knots.
        return None


def _plain(value: Any) -> Any:
    """As it stands in a file: no tuples, enumerations or paths."""
    return json.loads(json.dumps(draccus.encode(value), default=lambda v: v.value if isinstance(v, Enum) else str(v)))


def _block(values: Any) -> str:
    return yaml.safe_dump(values, sort_keys=False, width=_WIDTH, allow_unicode=True) if values else ""


def _differences(expected: Any, read: Any, place: str = "") -> list[str]:
    if isinstance(expected, dict) and isinstance(read, dict):
        keys = sorted({*expected, *read})
        return [line for key in keys for line in _differences(expected.get(key), read.get(key), f"{place}.{key}")]
    return [] if expected == read else [f"{place[1:]} would be {read!r} instead of {expected!r}"]
