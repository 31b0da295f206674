# SPDX-License-Identifier: Apache-2.0
"""What LeRobot's own tests ask of its Feetech bus with a scripted port, asked here of a bus with servos on it."""

import pytest

pytestmark = pytest.mark.usefixtures("feetech")
NAMES = ["shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper"]


@pytest.fixture
def bus(start_arm):
    from lerobot.motors import Motor, MotorNormMode
    from lerobot.motors.feetech import FeetechMotorsBus

    arm = start_arm("follower")
    motors = {name: Motor(i, "sts3215", MotorNormMode.RANGE_M100_100) for i, name in enumerate(NAMES, start=1)}
    bus = FeetechMotorsBus(port=str(arm.spec.port), motors=motors)
    bus.connect()
    bus.arm = arm
    yield bus
    arm.tell("clear")
    bus.disconnect()


@pytest.mark.parametrize("motor", [1, 3, 6])
def test_ping_finds_the_model_of_one_motor(bus, motor):
    assert bus.ping(motor) == 777
    assert bus.ping(7) is None


def test_a_word_is_read_from_all_from_some_and_from_one_motor(bus):
    everything = bus.sync_read("Torque_Limit", normalize=False)
    assert everything == dict.fromkeys(NAMES, 1000)
    assert bus.sync_read("Torque_Limit", ["gripper", "elbow_flex"], normalize=False) == {
        "gripper": 1000,
        "elbow_flex": 1000,
    }
    assert bus.sync_read("ID", "wrist_flex", normalize=False) == {"wrist_flex": 4}


def test_a_read_that_fails_is_repeated_as_often_as_it_may_be(bus):
    bus.arm.tell("fault no_answer:motor=2:every=2")
    with pytest.raises(ConnectionError, match="no status packet"):
        bus.sync_read("ID", "shoulder_lift", normalize=False)
    assert bus.sync_read("ID", "shoulder_lift", normalize=False) == {"shoulder_lift": 2}
    # The next attempt is struck again, and the one after it is not.
    assert bus.sync_read("ID", "shoulder_lift", normalize=False, num_retry=1) == {"shoulder_lift": 2}


@pytest.mark.parametrize("value", [0, 500])
def test_one_value_is_written_to_all(bus, value):
    bus.sync_write("Torque_Limit", value, normalize=False)
    assert bus.sync_read("Torque_Limit", normalize=False) == dict.fromkeys(NAMES, value)


def test_values_are_written_to_those_that_are_named(bus):
    bus.sync_write("Goal_Position", {"shoulder_pan": 1337, "gripper": 2042}, normalize=False)
    read = bus.sync_read("Goal_Position", normalize=False)
    assert (read["shoulder_pan"], read["gripper"]) == (1337, 2042)
    assert all(read[name] not in (1337, 2042) for name in NAMES[1:5])


@pytest.mark.parametrize(("register", "motor", "value"), [("Torque_Enable", "elbow_flex", 1), ("Lock", "gripper", 0)])
def test_a_write_to_one_motor_is_obeyed_and_answered(bus, register, motor, value):
    before = bus.sync_read(register, normalize=False)
    bus.write(register, motor, value, normalize=False)
    assert bus.sync_read(register, normalize=False) == {**before, motor: value}


@pytest.mark.parametrize("value", [-2047, -1, 0, 1, 2047])
def test_a_signed_value_comes_back(bus, value):
    bus.write("Homing_Offset", "elbow_flex", value, normalize=False)
    assert bus.read("Homing_Offset", "elbow_flex", normalize=False) == value


def test_a_calibration_that_was_written_is_read_back(bus):
    from lerobot.motors import MotorCalibration

    calibration = {
        name: MotorCalibration(id=i, drive_mode=0, homing_offset=10 * i, range_min=500 + i, range_max=3000 + i)
        for i, name in enumerate(NAMES, start=1)
    }
    bus.write_calibration(calibration)
    assert bus.is_calibrated
    assert bus.read_calibration() == calibration


def test_the_middle_is_found_where_the_arm_stands(bus):
    bus.disable_torque()
    bus.set_half_turn_homings()
    assert set(bus.sync_read("Present_Position", normalize=False).values()) == {2047}


def test_a_motor_that_is_not_there_is_named_at_connect(start_arm):
    from lerobot.motors import Motor, MotorNormMode
    from lerobot.motors.feetech import FeetechMotorsBus

    arm = start_arm("follower", faults=("no_answer:motor=4",))
    motors = {name: Motor(i, "sts3215", MotorNormMode.DEGREES) for i, name in enumerate(NAMES, start=1)}
    bus = FeetechMotorsBus(port=str(arm.spec.port), motors=motors)
    with pytest.raises(RuntimeError, match=r"(?s)Missing motor IDs:\s+- 4"):
        bus.connect()
    bus.port_handler.closePort()
