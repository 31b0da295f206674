# SPDX-License-Identifier: Apache-2.0
"""LeRobot's own drivers, unchanged, on the virtual arm's port; and what they make of each fault."""

import json
import time

import pytest

from lerobot_ambient.testing.virtual_arm.joints import JOINTS
from lerobot_ambient.testing.virtual_arm.motion import REST

pytestmark = pytest.mark.usefixtures("feetech")
KEYS = [f"{joint.name}.pos" for joint in JOINTS]


def follower(arm, **options):
    from lerobot.robots.so_follower import SOFollower, SOFollowerRobotConfig

    named = {"id": arm.spec.port.name, "calibration_dir": arm.spec.calibration_dir}
    return SOFollower(SOFollowerRobotConfig(port=str(arm.spec.port), **{**named, **options}))


def leader(arm):
    from lerobot.teleoperators.so_leader import SOLeader, SOLeaderTeleopConfig

    return SOLeader(
        SOLeaderTeleopConfig(port=str(arm.spec.port), id=arm.spec.port.name, calibration_dir=arm.spec.calibration_dir)
    )


@pytest.fixture
def connected(start_arm):
    robot = follower(arm := start_arm("follower"))
    robot.connect(calibrate=False)
    yield robot, arm
    arm.tell("clear")
    if robot.is_connected:
        robot.bus.port_handler.closePort()


def test_a_follower_connects_calibrated_moves_and_lets_go(start_arm):
    robot = follower(start_arm("follower"))
    robot.connect()
    assert robot.is_calibrated
    start = robot.get_observation()
    assert [start[key] for key in KEYS] == pytest.approx(REST.tolist(), abs=0.1)
    goal = dict.fromkeys(KEYS, 20.0)
    assert robot.send_action(goal) == goal
    time.sleep(1.5)
    end = robot.get_observation()
    assert [end[key] for key in KEYS] == pytest.approx([20.0] * 6, abs=0.3)
    assert robot.bus.sync_read("Torque_Enable") == dict.fromkeys(robot.bus.motors, 1)
    robot.disconnect()
    robot.bus.connect()
    assert robot.bus.sync_read("Torque_Enable") == dict.fromkeys(robot.bus.motors, 0)
    robot.bus.disconnect()


def test_the_relative_target_limit_holds_on_the_arm(start_arm):
    robot = follower(start_arm("follower"), max_relative_target=5.0)
    robot.connect()
    sent = robot.send_action(dict.fromkeys(KEYS, 20.0))
    assert sent["shoulder_lift.pos"] == pytest.approx(REST[1] + 5.0, abs=0.1)
    robot.disconnect()


def test_a_leader_is_moved_by_its_hand(start_arm):
    teleop = leader(start_arm("leader", motion="wave"))
    teleop.connect()
    poses = []
    for _ in range(10):
        poses.append([teleop.get_action()[key] for key in KEYS])
        time.sleep(0.05)
    assert all(max(column) - min(column) > 0.5 for column in zip(*poses, strict=True))
    teleop.disconnect()


def test_lerobot_calibrate_finds_the_ranges(start_arm, monkeypatch):
    from lerobot.robots.so_follower import SOFollowerRobotConfig
    from lerobot.scripts.lerobot_calibrate import CalibrateConfig, calibrate

    arm = start_arm("uncalibrated", motion="still")
    fresh = arm.spec.calibration_dir / "fresh"
    begun: list[float] = []

    def enter(text: str) -> str:
        arm.tell("motion sweep")
        begun.append(time.monotonic())
        return ""

    # The sweep takes four seconds after one second in the middle.
    monkeypatch.setattr("builtins.input", enter)
    monkeypatch.setattr("lerobot.motors.motors_bus.enter_pressed", lambda: time.monotonic() - begun[-1] > 5.5)
    config = SOFollowerRobotConfig(port=str(arm.spec.port), id="me", calibration_dir=fresh)
    calibrate(CalibrateConfig(robot=config))
    found = json.loads((fresh / "me.json").read_text())
    for joint in JOINTS:
        width = joint.calibration.range_max - joint.calibration.range_min
        assert found[joint.name]["range_max"] - found[joint.name]["range_min"] == pytest.approx(width, abs=1), (
            joint.name
        )
    robot = follower(arm, id="me", calibration_dir=fresh)
    robot.bus.connect()
    assert robot.is_calibrated
    robot.bus.disconnect()


def test_every_motor_is_found_by_a_broadcast_ping(connected):
    robot, _ = connected
    assert robot.bus.broadcast_ping() == dict.fromkeys(range(1, 7), 777)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("no_answer:motor=3", "There is no status packet"),
        ("checksum:motor=3", "Incorrect status packet"),
        ("truncated:motor=3", "status packet"),
    ],
)
def test_a_lasting_fault_of_the_line_is_a_connection_error_in_observation_and_at_disconnect(connected, fault, message):
    robot, arm = connected
    arm.tell(f"fault {fault}")
    with pytest.raises(ConnectionError, match=message):
        robot.get_observation()
    with pytest.raises(ConnectionError, match="Torque_Enable"):
        robot.disconnect()
    arm.tell("clear")
    robot.disconnect()
    assert not robot.is_connected


@pytest.mark.parametrize("kind", ["checksum", "no_answer"])
def test_a_fault_that_strikes_now_and_then_is_retried_by_lerobot(connected, kind):
    robot, arm = connected
    arm.tell(f"fault {kind}:motor=3:every=3")
    for _ in range(4):
        robot.get_observation()
    robot.disconnect()


def test_slow_answers_are_waited_for_up_to_the_packet_timeout(connected):
    robot, arm = connected
    arm.tell("fault slow:motor=1:ms=30")
    begun = time.perf_counter()
    robot.get_observation()
    assert time.perf_counter() - begun > 0.03
    arm.tell("clear")
    arm.tell("fault slow:motor=1:ms=3000")
    with pytest.raises(ConnectionError, match="no status packet"):
        robot.get_observation()


def test_an_overload_does_not_stop_reading_but_stops_disconnecting(connected):
    robot, arm = connected
    arm.tell("fault overload:motor=3")
    robot.get_observation()
    with pytest.raises(RuntimeError, match="Overload"):
        robot.disconnect()
    arm.tell("clear")
    # LeRobot stopped at motor 3: its torque is off, that of the motors after it is not.
    assert list(robot.bus.sync_read("Torque_Enable").values()) == [0, 0, 0, 1, 1, 1]


def test_an_unplugged_arm_raises_and_comes_back_under_its_name(connected):
    import termios

    robot, arm = connected
    arm.tell("fault unplugged")
    assert not arm.spec.port.is_symlink()
    # termios.error: pyserial's flush asks the lost terminal directly, and LeRobot catches neither.
    with pytest.raises((OSError, termios.error)):
        robot.get_observation()
    with pytest.raises((OSError, termios.error)):
        robot.disconnect()
    arm.tell("clear")
    again = follower(arm)
    again.connect(calibrate=False)
    assert [again.get_observation()[key] for key in KEYS] == pytest.approx(REST.tolist(), abs=0.1)
    again.disconnect()


def test_the_leaders_motion_can_be_followed(start_arm):
    robot, teleop = follower(start_arm("follower")), leader(start_arm("leader", motion="wave"))
    robot.connect()
    teleop.connect()
    robot.send_action(teleop.get_action())
    time.sleep(1.0)
    for _ in range(20):
        action = teleop.get_action()
        robot.send_action(action)
        time.sleep(0.03)
    behind = [abs(robot.get_observation()[key] - action[key]) for key in KEYS]
    assert max(behind) < 15.0
    robot.disconnect()
    teleop.disconnect()
