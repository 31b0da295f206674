# SPDX-License-Identifier: Apache-2.0
"""What a fine-tuning's base, `policy.path`, is for the commands of this package; and what LeRobot 0.6 loses beside it.

Beside `policy.path` in a YAML or JSON file LeRobot flattens the other settings of the policy into options, and leaves
out lists, nulls and the `type` of a choice without a word. So `sources: []` would go on with the base's sources.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from lerobot.configs import PreTrainedConfig, parser
from lerobot.utils.import_utils import is_package_available

from lerobot_ambient.data.files.hub_errors import NOT_ON_THE_HUB, reason_of
from lerobot_ambient.integration.errors.error_report import not_there

_POLICY = "policy"


def without_base(config_path: str | None, arguments: Sequence[str]) -> tuple[str | None, list[str], Base | None]:
    """A training's configuration without the checkpoint that it goes on from, and that checkpoint.

    Args:
        config_path: YAML or JSON file, or None.
        arguments: further lerobot-train options.

    Returns:
        What LeRobot's parser takes: the file, or one beside it without a policy, and the options; None without a base.

    Raises:
        ValueError: the file says of the policy what LeRobot does not read beside a path.
    """
    words = list(arguments)
    path = parser.parse_arg(f"{_POLICY}.{parser.PATH_KEY}", words)
    in_file: list[str] = []
    if config_path is not None and Path(config_path).is_file():
        refuse_lost_settings([f"--config_path={config_path}", *words])
        # LeRobot keeps what it finds until the process ends, and would take it for the next configuration's.
        paths, settings = parser._config_path_args, parser._config_yaml_overrides
        before = dict(paths), dict(settings)
        try:
            config_path = parser.extract_path_fields_from_config(config_path, [_POLICY])
            if _POLICY in paths and _POLICY not in before[0]:
                path, in_file = path or paths[_POLICY], settings.get(_POLICY, [])
        finally:
            for kept, old in zip((paths, settings), before, strict=True):
                kept.clear()
                kept.update(old)
    if path is None:
        return config_path, words, None
    own = parser.get_cli_overrides(_POLICY, words) or []
    others = parser.filter_path_args([_POLICY], [f"--{_POLICY}.{parser.PATH_KEY}={path}", *words])
    return config_path, others, Base(path, [*in_file, *own])


@dataclass(frozen=True)
class Base:
    """A checkpoint that a training goes on from.

    Args:
        path: folder, or a model on the Hub.
        overrides: the policy's options beside it, without the word `policy`.
    """

    path: str
    overrides: Sequence[str]

    def config(self) -> Any:
        """The policy's configuration: of the ambient form of a stock type where options of a mixture are among them.

        Raises:
            FileNotFoundError: no such checkpoint.
            ValueError: a type that has no ambient form, or an option that it has not.
        """
        try:
            config = PreTrainedConfig.from_pretrained(self.path, cli_overrides=list(self.overrides))
        except NOT_ON_THE_HUB as error:
            raise FileNotFoundError(not_there("policy.path", self.path, reason_of(error))) from error
        config.pretrained_path = Path(self.path)
        return config


def require_model(policy: Any) -> None:
    """See, before the data are read, that what the policy's network is made of is installed.

    Raises:
        ImportError: it is not; names the extra of LeRobot's that brings it.
    """
    family = getattr(policy, "family", None)
    if family is not None and not is_package_available("transformers"):
        raise ImportError(
            f"--policy.type={policy.type} needs the package transformers, which is not installed: "
            f"pip install 'lerobot[{family.extra}]'"
        )


def refuse_lost_settings(arguments: Sequence[str] | None = None, *, names: Collection[str] | None = None) -> None:
    """Check the config file of the running command.

    Args:
        arguments: of the command; None for the process's own.
        names: of the policy's options that matter; None for all.

    Raises:
        ValueError: the file has settings that LeRobot does not apply and the command line does not repeat.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    file = parser.parse_arg("config_path", words)
    if file is None or Path(file).suffix.lower() not in (".yaml", ".yml", ".json") or not Path(file).is_file():
        return
    config = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    policy = config.get("policy") if isinstance(config, Mapping) else None
    if not isinstance(policy, Mapping) or parser.PATH_KEY not in policy:
        return
    lost = {
        name: value
        for name, value in _lost(policy, "policy")
        if (names is None or name.split(".")[1] in names)
        and not any(word.startswith((f"--{name}=", f"--{name}.")) or word == f"--{name}" for word in words)
    }
    if lost:
        options = " ".join(f"--{name}={_word(value)}" for name, value in lost.items())
        raise ValueError(
            f"{file}: beside policy.path LeRobot does not read {', '.join(lost)} from a file, so the base's values "
            f"would stay. Leave them out of the file and give them as options: {options}"
        )


def _word(value: Any) -> str:
    return value if isinstance(value, str) else f"'{json.dumps(value)}'"


def _lost(settings: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        name = f"{prefix}.{key}"
        if isinstance(value, Mapping):
            yield from _lost(value, name)
        # The policy's own type is the base's.
        elif isinstance(value, list) or value is None or (key == "type" and prefix != "policy"):
            yield name, value
