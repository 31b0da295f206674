# SPDX-License-Identifier: Apache-2.0
"""Which OpenGL MuJoCo draws with, chosen before anything imports it.

MuJoCo reads the variable MUJOCO_GL once, when it is imported. Without it dm_control asks for a window first, which a
machine without a display does not have. This module must therefore import neither of them.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping

VARIABLE = "MUJOCO_GL"
_HEADLESS = "egl"
"""Draws without a display, on a GPU or by Mesa's software."""
_TRY = """
from dm_control import mujoco
physics = mujoco.Physics.from_xml_string('<mujoco><worldbody><geom size="1"/></worldbody></mujoco>')
assert physics.render(height=32, width=32).shape == (32, 32, 3)
"""
_INSTALL = "pip install 'lerobot_policy_ambient_diffusion[aloha]'"


def require_aloha() -> None:
    """Check that gym-aloha can be imported.

    Raises:
        ModuleNotFoundError: if it is not installed; the message shows how to.
    """
    if importlib.util.find_spec("gym_aloha") is None:
        raise ModuleNotFoundError(f"ALOHA needs gym-aloha, which is not installed; {_INSTALL}", name="gym_aloha")


def drawing_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What a command that draws gets beside `environment`: MUJOCO_GL=egl where it is unset and there is no display."""
    if environment.get(VARIABLE) or environment.get("DISPLAY"):
        return {}
    return {VARIABLE: _HEADLESS}


def choose_gl() -> None:
    """Set MUJOCO_GL of this process as `drawing_environment` says. Has no effect once MuJoCo is imported."""
    os.environ.update(drawing_environment())


def require_gl() -> None:
    """Draw a picture in a process of its own, as MuJoCo would draw it in this one.

    Raises:
        ModuleNotFoundError: if gym-aloha is not installed.
        OSError: if nothing can be drawn; the message shows the cause and what to try.
    """
    require_aloha()
    environment = {**os.environ, **drawing_environment()}
    done = subprocess.run([sys.executable, "-c", _TRY], env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    last = next((line for line in reversed(done.stderr.splitlines()) if "Error" in line), "no message")
    chosen = environment.get(VARIABLE, "unset")
    raise OSError(
        f"MuJoCo cannot draw with {VARIABLE}={chosen}: {last.strip()}. Without a display it needs EGL (the libraries "
        "of a graphics driver, or Mesa's: on Debian and Ubuntu libegl1 and libgl1-mesa-dri); MUJOCO_GL=osmesa with "
        "libosmesa6 works too"
    )
