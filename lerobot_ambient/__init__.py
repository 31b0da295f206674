# SPDX-License-Identifier: Apache-2.0
"""Ambient co-training for LeRobot: train on all your robot data without copying its faults.

    import lerobot_ambient as la

After it LeRobot knows the policy type `ambient_diffusion` and the environment types wherever it knows its own, and
`lerobot-train` merges `--policy.sources` into the target. Nothing of LeRobot, torch or NumPy is loaded for that: the
names below are, with what they need, when one is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lerobot_ambient.integration import register

if TYPE_CHECKING:
    from lerobot_ambient.annotate.annotations import Annotations as Annotations
    from lerobot_ambient.annotate.annotations import SourceAnnotation as SourceAnnotation
    from lerobot_ambient.annotate.annotations import annotate as annotate
    from lerobot_ambient.core.losses import ambient_pair as ambient_pair
    from lerobot_ambient.core.losses import ambient_target as ambient_target
    from lerobot_ambient.core.losses import denoising_target as denoising_target
    from lerobot_ambient.core.losses import renoise as renoise
    from lerobot_ambient.core.mixing import Ambient as Ambient
    from lerobot_ambient.core.mixing import Cotrain as Cotrain
    from lerobot_ambient.core.mixing import Exclusive as Exclusive
    from lerobot_ambient.core.mixing import MixingRule as MixingRule
    from lerobot_ambient.core.mixing import Soft as Soft
    from lerobot_ambient.core.mixing import TargetOnly as TargetOnly
    from lerobot_ambient.core.noise_levels import NoiseSchedule as NoiseSchedule
    from lerobot_ambient.core.plan import Group as Group
    from lerobot_ambient.core.plan import Plan as Plan
    from lerobot_ambient.core.plan import make_plan as make_plan
    from lerobot_ambient.core.windows import Window as Window
    from lerobot_ambient.data.declared.sources import Source as Source
    from lerobot_ambient.integration.from_python.check import check as check
    from lerobot_ambient.integration.from_python.mixture import Mixture as Mixture
    from lerobot_ambient.integration.from_python.train import train as train
    from lerobot_ambient.integration.judging.judgement import Judgement as Judgement

_HOME = {
    "Source": "data.declared.sources",
    "Window": "core.windows",
    "Mixture": "integration.from_python.mixture",
    "Plan": "core.plan",
    "Group": "core.plan",
    "make_plan": "core.plan",
    "annotate": "annotate",
    "Annotations": "annotate.annotations",
    "SourceAnnotation": "annotate.annotations",
    "train": "integration.from_python.train",
    "check": "integration.from_python.check",
    "Judgement": "integration.judging.judgement",
    "NoiseSchedule": "core.noise_levels",
    "MixingRule": "core.mixing",
    "Ambient": "core.mixing",
    "Soft": "core.mixing",
    "Cotrain": "core.mixing",
    "TargetOnly": "core.mixing",
    "Exclusive": "core.mixing",
    "denoising_target": "core.losses",
    "ambient_target": "core.losses",
    "ambient_pair": "core.losses",
    "renoise": "core.losses",
}
"""Where each name lives; the imports above say the same to type checkers and editors."""

__all__ = [*_HOME, "__version__"]

register()


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(f"{__name__}.{_HOME[name]}")
    # `annotate` is a package, and can be called.
    value = home if _HOME[name] == name else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("lerobot_policy_ambient_diffusion")
    except PackageNotFoundError:
        return "0+unknown"
