# SPDX-License-Identifier: Apache-2.0
"""Refuses what LeRobot 0.6 loses when a policy is fine-tuned from a config file.

Beside `policy.path` in a YAML or JSON file LeRobot flattens the other settings of the policy into options, and leaves
out lists, nulls and the `type` of a choice without a word. So `sources: []` would go on with the base's sources.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from lerobot.configs import parser


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
