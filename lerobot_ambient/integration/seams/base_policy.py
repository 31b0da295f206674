# SPDX-License-Identifier: Apache-2.0
"""How `--policy.path=lerobot/smolvla_base --policy.sources=...` goes on from a stock checkpoint.

LeRobot reads the checkpoint's configuration as the type that it names, and that type has no sources. Where options of a
mixture are among those given beside `--policy.path`, the same file is read as the ambient form of its type. Everything
else goes to LeRobot's own function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any


def reading(original: Callable[..., Any]) -> Any:
    """LeRobot's `PreTrainedConfig.from_pretrained`, a class method."""
    read = original.__func__  # type: ignore[attr-defined]

    def from_pretrained(cls: Any, pretrained_name_or_path: Any, **kwargs: Any) -> Any:
        from lerobot_ambient.integration.training.fine_tuning import refuse_lost_settings
        from lerobot_ambient.policy.flow.refused import why_not

        overrides = kwargs.get("cli_overrides")
        if overrides is not None:
            # LeRobot drops lists of a file, and with them it would train the stock policy on the target alone.
            refuse_lost_settings(names=_names())
        asked = options_of_a_mixture(overrides or [])
        if not asked:
            return read(cls, pretrained_name_or_path, **kwargs)
        choices = _AmbientChoices(cls)
        try:
            return read(choices, pretrained_name_or_path, **kwargs)
        except ValueError:
            # LeRobot's function takes any error of a choice for an unknown type.
            if choices.refused is None:
                raise
            options = ", ".join(f"--policy.{word.lstrip('-').partition('=')[0]}" for word in asked)
            raise ValueError(
                f"{options}: the checkpoint '{pretrained_name_or_path}' is of type {choices.refused}. "
                f"{why_not(choices.refused)}"
            ) from None

    return classmethod(from_pretrained)


def options_of_a_mixture(words: Iterable[str]) -> list[str]:
    """Those of a policy's options, `--name=value`, that only an ambient policy has."""
    names = _names()
    return [word for word in words if word.lstrip("-").partition("=")[0].partition(".")[0] in names]


def _names() -> set[str]:
    from lerobot_ambient.policy.options.mixture_options import MixtureOptions

    return {one.name for one in fields(MixtureOptions)}


class _AmbientChoices:
    """Stands for the configuration class in LeRobot's function, which asks it for nothing but the type's class."""

    def __init__(self, configs: Any) -> None:
        self._configs = configs
        self.refused: str | None = None

    def get_known_choices(self) -> Any:
        return self._configs.get_known_choices()

    def get_choice_class(self, kind: str) -> Any:
        from lerobot_ambient.policy.options.mixture_options import MixtureOptions, ambient_types

        known = self._configs.get_known_choices()
        if kind not in known or issubclass(known[kind], MixtureOptions):
            return self._configs.get_choice_class(kind)
        if f"ambient_{kind}" not in ambient_types():
            self.refused = kind
            raise KeyError(kind)
        return self._configs.get_choice_class(f"ambient_{kind}")
