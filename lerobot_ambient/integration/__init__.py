# SPDX-License-Identifier: Apache-2.0
"""What meets LeRobot: the only place that touches its scripts and internals."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from types import ModuleType

_TYPES = {
    "lerobot.policies": "lerobot_ambient.policy.registered",
    "lerobot.envs": "lerobot_ambient.benchmarks.tasks.configuration",
    "lerobot.cameras": "lerobot_ambient.testing.video_camera.config_camera",
}
"""LeRobot's packages that register types when they are loaded, and our module that adds to theirs."""


def register() -> None:
    """Make LeRobot know this package's policy, environments and camera, and its training the merge. Idempotent.

    Our types become known together with LeRobot's own of the same kind. Nothing of LeRobot is loaded here: that takes
    seconds, which `lerobot-ambient --help` and the helpers of a long experiment have no use for.
    """
    from lerobot_ambient.integration.hooks.after_import import after_import
    from lerobot_ambient.integration.seams.table import install_when_imported

    for theirs, ours in _TYPES.items():
        after_import(theirs, partial(_load, ours))
    install_when_imported()


def register_now() -> None:
    """The same where LeRobot asks for its plugins: it has loaded itself by then, and looks our types up at once."""
    from lerobot_ambient.integration.errors import decoder_notice, error_report

    register()
    error_report.install_in_command()
    decoder_notice.install_in_command()
    for ours in _TYPES.values():
        import_module(ours)


def _load(ours: str, theirs: ModuleType) -> None:
    import_module(ours)
