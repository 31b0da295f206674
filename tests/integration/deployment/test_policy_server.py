# SPDX-License-Identifier: Apache-2.0
"""LeRobot's policy server and robot client with our policy, over gRPC on the loopback interface."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from concurrent import futures
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lerobot.configs import FeatureType, PolicyFeature

from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig
from lerobot_ambient.policy.diffusion.modeling_ambient_diffusion import AmbientDiffusionPolicy
from lerobot_ambient.policy.diffusion.processor_ambient_diffusion import make_ambient_diffusion_pre_post_processors

pytest.importorskip("grpc", reason="the extra `async` is not installed")

JOINTS = ("shoulder.pos", "elbow.pos", "gripper.pos")
STEPS = 6


class StubRobot:
    """Three joints that go where they are sent, and a camera; the surface LeRobot's client uses."""

    def __init__(self) -> None:
        self.observation_features = {**dict.fromkeys(JOINTS, float), "cam": (96, 128, 3)}
        self.action_features = dict.fromkeys(JOINTS, float)
        self.position = np.array([10.0, -20.0, 5.0])
        self.sent: list[dict[str, float]] = []
        self.connected = False

    def connect(self) -> None:
        self.connected = True

    def disconnect(self) -> None:
        self.connected = False

    def get_observation(self) -> dict[str, Any]:
        image = np.full((96, 128, 3), 100, dtype=np.uint8)
        return {**dict(zip(JOINTS, self.position.tolist(), strict=True)), "cam": image}

    def send_action(self, action: dict[str, float]) -> dict[str, float]:
        self.sent.append(action)
        self.position = np.array([action[joint] for joint in JOINTS])
        return action


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained policy of one observation step, for that robot."""
    config = AmbientDiffusionConfig(
        device="cpu",
        push_to_hub=False,
        n_obs_steps=1,
        horizon=8,
        n_action_steps=STEPS,
        num_train_timesteps=10,
        noise_scheduler_type="DDIM",
        num_inference_steps=2,
        denoiser="mlp",
        mlp_width=32,
        mlp_depth=1,
        pretrained_backbone_weights=None,
        crop_shape=None,
        input_features={
            "observation.state": PolicyFeature(FeatureType.STATE, (3,)),
            "observation.images.cam": PolicyFeature(FeatureType.VISUAL, (3, 48, 64)),
        },
        output_features={"action": PolicyFeature(FeatureType.ACTION, (3,))},
    )
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("policy")
    AmbientDiffusionPolicy(config).save_pretrained(folder)
    joints = {"min": torch.full((3,), -90.0), "max": torch.full((3,), 90.0)}
    pixels = {"mean": torch.full((3, 1, 1), 0.5), "std": torch.full((3, 1, 1), 0.25)}
    stats = {"observation.state": joints, "action": joints, "observation.images.cam": pixels}
    for processor in make_ambient_diffusion_pre_post_processors(config, stats):
        processor.save_pretrained(folder)
    return folder


@pytest.fixture
def lerobot_async(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """LeRobot's modules, imported in a folder of their own: they make a folder `logs` where they stand."""
    monkeypatch.chdir(tmp_path)
    from lerobot.async_inference import configs, constants, policy_server, robot_client

    from lerobot_ambient.integration.deployment.policy_server import support_policy

    monkeypatch.setattr(policy_server, "SUPPORTED_POLICIES", list(constants.SUPPORTED_POLICIES))
    return SimpleNamespace(configs=configs, server=policy_server, client=robot_client, support=support_policy)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def client_of(modules: SimpleNamespace, checkpoint: Path, port: int, robot: StubRobot, monkeypatch) -> Any:
    monkeypatch.setattr(modules.client, "make_robot_from_config", lambda config: robot)
    from lerobot.robots.so_follower import SO101FollowerConfig

    config = modules.configs.RobotClientConfig(
        policy_type="ambient_diffusion",
        pretrained_name_or_path=str(checkpoint),
        robot=SO101FollowerConfig(port="none"),
        actions_per_chunk=STEPS,
        server_address=f"127.0.0.1:{port}",
        fps=50,
    )
    return modules.client.RobotClient(config)


def drive(client: Any, robot: StubRobot, actions: int, seconds: float = 30.0) -> None:
    """LeRobot's two loops until the robot was sent so many actions."""
    receiver = threading.Thread(target=client.receive_actions, daemon=True)
    controller = threading.Thread(target=client.control_loop, args=("go",), daemon=True)
    receiver.start()
    controller.start()
    limit = time.monotonic() + seconds
    while len(robot.sent) < actions and time.monotonic() < limit:
        time.sleep(0.02)
    client.shutdown_event.set()
    controller.join(timeout=10)
    receiver.join(timeout=10)
    client.stop()
    assert not receiver.is_alive()
    assert len(robot.sent) >= actions


@pytest.fixture
def serving(lerobot_async):
    """LeRobot's server in this process, as its own `serve` sets it up; `port` and `server`."""
    import grpc
    from lerobot.transport import services_pb2_grpc

    config = lerobot_async.configs.PolicyServerConfig(
        host="127.0.0.1", port=1, fps=50, inference_latency=0.0, obs_queue_timeout=0.2
    )
    policy_server = lerobot_async.server.PolicyServer(config)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    services_pb2_grpc.add_AsyncInferenceServicer_to_server(policy_server, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield SimpleNamespace(port=port, server=policy_server)
    policy_server.stop()
    server.stop(grace=None).wait()


def test_lerobots_server_alone_refuses_a_plugins_policy(lerobot_async, serving, checkpoint, monkeypatch):
    """What the detour is for; when this fails, LeRobot accepts plugins and the detour can go."""
    robot = StubRobot()
    client = client_of(lerobot_async, checkpoint, serving.port, robot, monkeypatch)
    assert client.start() is False
    client.stop()
    assert serving.server.policy is None
    assert not robot.connected


def test_a_robot_is_driven_over_the_wire(lerobot_async, serving, checkpoint, monkeypatch):
    lerobot_async.support()
    lerobot_async.support()
    assert lerobot_async.server.SUPPORTED_POLICIES.count("ambient_diffusion") == 1
    robot = StubRobot()
    client = client_of(lerobot_async, checkpoint, serving.port, robot, monkeypatch)
    assert client.start() is True
    receiver = threading.Thread(target=client.receive_actions, daemon=True)
    receiver.start()
    client.start_barrier.wait()
    torch.manual_seed(7)
    client.control_loop_observation("go")
    limit = time.monotonic() + 30
    while not client.actions_available() and time.monotonic() < limit:
        time.sleep(0.01)
    while client.actions_available():
        client.control_loop_action()
    client.shutdown_event.set()
    receiver.join(timeout=10)
    client.stop()

    from lerobot.policies import make_pre_post_processors

    policy = AmbientDiffusionPolicy.from_pretrained(checkpoint)
    pre, post = make_pre_post_processors(policy.config, pretrained_path=str(checkpoint))
    image = torch.full((1, 3, 48, 64), 100 / 255)
    batch = pre({"observation.state": torch.tensor([[10.0, -20.0, 5.0]]), "observation.images.cam": image})
    torch.manual_seed(7)
    chunk = post(policy.predict_action_chunk(batch)[0])
    sent = torch.tensor([[action[joint] for joint in JOINTS] for action in robot.sent])
    assert sent.shape == (STEPS, 3)
    torch.testing.assert_close(sent, chunk)
    assert not robot.connected


@pytest.mark.slow
def test_a_robot_of_other_joints_is_refused_and_not_moved(lerobot_async, serving, checkpoint, monkeypatch, caplog):
    lerobot_async.support()
    folder = shutil.copytree(checkpoint, Path.cwd() / "policy")
    config = json.loads((folder / "config.json").read_text())
    names = [*JOINTS[1:], JOINTS[0]]
    for option in ("feature_names", "target_dimension_names"):
        written = {**config, "feature_names": None, option: {"action": names, "observation.state": names}}
        (folder / "config.json").write_text(json.dumps(written))
        robot = StubRobot()
        client = client_of(lerobot_async, folder, serving.port, robot, monkeypatch)
        refused = []
        monkeypatch.setattr(client.logger, "error", lambda text, *_, to=refused: to.append(str(text)))
        assert client.start() is False
        client.stop()
        assert "trained for another robot than this client's" in refused[0] and "The order differs" in refused[0]
        assert serving.server.policy is None and robot.sent == []


def test_the_verb_serves_a_client_in_another_process(
    lerobot_async, checkpoint, monkeypatch, tmp_path, preloaded_python
):
    port = free_port()
    words = ["policy-server", "--host=127.0.0.1", f"--port={port}", "--fps=50", "--obs_queue_timeout=0.2"]
    command = [preloaded_python, "-m", "lerobot_ambient.cli.__main__", *words]
    with subprocess.Popen(command, cwd=tmp_path, env=os.environ.copy(), stderr=subprocess.DEVNULL) as process:
        try:
            limit = time.monotonic() + 90
            while True:
                assert process.poll() is None
                with socket.socket() as one:
                    if one.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert time.monotonic() < limit
                time.sleep(0.2)
            robot = StubRobot()
            client = client_of(lerobot_async, checkpoint, port, robot, monkeypatch)
            assert client.start() is True
            drive(client, robot, 2 * STEPS)
        finally:
            # A shell that starts tests in the background has interrupts ignored, and so has the server then.
            ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            process.send_signal(signal.SIGTERM if ignored else signal.SIGINT)
            try:
                process.wait(30)
            finally:
                process.kill()
    assert not robot.connected


def test_wrong_options_are_refused(lerobot_async, capsys):
    from lerobot_ambient.cli.__main__ import main

    assert main(["policy-server", "--fps=often"]) == 2
    assert "fps" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["policy-server", "--fsp=50"])
    assert "unrecognized arguments: --fsp=50" in capsys.readouterr().err


def test_an_unknown_lerobot_is_said(lerobot_async, monkeypatch):
    from lerobot_ambient.integration.hooks.substitute import SeamError

    monkeypatch.delattr(lerobot_async.server, "SUPPORTED_POLICIES")
    with pytest.raises(SeamError, match="its policy server has no list SUPPORTED_POLICIES"):
        lerobot_async.support()
