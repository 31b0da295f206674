# SPDX-License-Identifier: Apache-2.0
"""gym-aloha's cube transfer without its pictures: the same physics and the same task, a hundred times as fast.

The stock environment draws three pictures of 480 x 640 pixels every step, whether somebody looks or not. Here its
task drives its model directly, and a picture is drawn when it is asked for. A test compares the two step by step.

Both arms are joint-controlled: an action holds 14 targets, for each arm, the left one first, six joint angles in rad
and the opening of the gripper (0 closed, 1 open).
"""

from __future__ import annotations

import numpy as np
from dm_control import mujoco
from dm_control.rl.control import compute_n_steps
from gym_aloha.constants import ASSETS_DIR, DT, JOINTS
from gym_aloha.tasks.sim import BOX_POSE, TransferCubeTask
from gym_aloha.utils import sample_box_pose
from numpy.typing import NDArray

from lerobot_ambient.core.arrays import Floats

FPS = round(1 / DT)
NAMES: tuple[str, ...] = tuple(JOINTS)
"""Of the 14 dimensions of state and action."""
SUCCESS = 4
"""The reward for a cube that the left gripper holds above the table; the stock environment ends with it."""
CAMERA = "top"
HEIGHT, WIDTH = 480, 640
"""Of the stock environment's pictures, in pixels."""


class AlohaScene:
    """The scene, one step of 1 / FPS s at a time.

    Not for several threads: gym-aloha places the cube through a global variable.
    """

    def __init__(self) -> None:
        self.physics = mujoco.Physics.from_xml_path(str(ASSETS_DIR / "bimanual_viperx_transfer_cube.xml"))
        self._task = TransferCubeTask()
        self._substeps = compute_n_steps(DT, self.physics.timestep())

    def reset(self, seed: int) -> None:
        """Place arms and cube as the stock environment does in `reset(seed)`."""
        BOX_POSE[0] = sample_box_pose(seed)
        with self.physics.reset_context():
            self._task.initialize_episode(self.physics)

    def step(self, action: NDArray[np.float32]) -> int:
        """Drive the joints towards an action (14,) for one step and return the task's reward, 0 to 4."""
        self._task.before_step(action, self.physics)
        self.physics.step(self._substeps)
        return int(self._task.get_reward(self.physics))

    @property
    def state(self) -> NDArray[np.float32]:
        """Joint angles and openings (14,), as the stock environment's `agent_pos`."""
        return self._task.get_qpos(self.physics).astype(np.float32)

    @property
    def cube(self) -> Floats:
        """Centre of the cube (3,) in m."""
        return np.array(self.physics.data.qpos[16:19])

    @property
    def qpos(self) -> Floats:
        """MuJoCo's own positions (23,), from which `picture_of` draws."""
        return np.array(self.physics.data.qpos)

    def picture_of(self, qpos: Floats, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
        """What the camera `top` sees at `qpos` (23,): uint8 (height, width, 3). Moves the scene there."""
        with self.physics.reset_context():
            self.physics.data.qpos[:] = qpos
        picture: NDArray[np.uint8] = self.physics.render(height=height, width=width, camera_id=CAMERA)
        return picture
