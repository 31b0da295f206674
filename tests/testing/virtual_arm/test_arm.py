# SPDX-License-Identifier: Apache-2.0
"""Faults, motions, calibration files and commands, without a port."""

import json

import numpy as np
import pytest

from lerobot_ambient.testing.virtual_arm.arm import VirtualArm, intervals
from lerobot_ambient.testing.virtual_arm.faults import Fault, parse_fault
from lerobot_ambient.testing.virtual_arm.joints import JOINTS, provide_calibration, shipped_calibration
from lerobot_ambient.testing.virtual_arm.motion import MOTIONS, REST, Jitter, motion_of_file
from lerobot_ambient.testing.virtual_arm.packets import Instruction, instruction_packet
from lerobot_ambient.testing.virtual_arm.port import VirtualPort

PING = [instruction_packet(motor, Instruction.PING) for motor in range(7)]


def arm_with(*faults: str) -> VirtualArm:
    return VirtualArm(shipped_calibration(), faults=[parse_fault(text) for text in faults])


def test_a_fault_is_read_with_its_times_counted_from_now():
    assert parse_fault("no_answer:motor=3:after=5:for=2", 10.0) == Fault("no_answer", 3, 15.0, 17.0)
    assert parse_fault("slow:ms=30:every=4") == Fault("slow", every=4, ms=30.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("smoke", "is not one of no_answer, checksum"),
        ("checksum:moter=3", "'moter=3' is not understood"),
        ("checksum:motor=1.5", "'motor=1.5' is not understood"),
        ("checksum:motor=300", "motor 300 is outside"),
        ("checksum:for=0", "for= must be above 0"),
        ("checksum:after=-1", "after= must be"),
        ("checksum:every=0", "every=0 must be at least 1"),
        ("checksum:ms=3", "ms= belongs to slow only"),
        ("unplugged:motor=3", "concerns the whole port"),
        ("overload:every=3", "a state of the servo"),
    ],
)
def test_a_fault_that_says_nothing_clear_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_fault(text)


def test_a_silent_motor_is_silent_from_its_start_to_before_its_end():
    arm = arm_with("no_answer:motor=3:after=5:for=2")
    answered = [bool(arm.receive(PING[3], now)) for now in (4.99, 5.0, 6.99, 7.0)]
    assert answered == [True, False, False, True]
    assert arm_with("no_answer:motor=3").receive(PING[2], 0.0)


def test_a_silent_motor_obeys_nothing():
    arm = arm_with("no_answer:motor=3")
    arm.receive(instruction_packet(3, Instruction.WRITE, bytes([40, 1])), 0.0)
    assert not arm.bus.servos[2].torque


def test_checksum_and_truncation_change_the_answer_only():
    whole = arm_with().receive(PING[2], 0.0)[0].data
    wrong = arm_with("checksum").receive(PING[2], 0.0)[0].data
    assert (wrong[:-1], wrong[-1]) == (whole[:-1], whole[-1] ^ 0xFF)
    assert arm_with("truncated").receive(PING[2], 0.0)[0].data == whole[:-2]


def test_every_third_answer_is_struck_when_asked_so():
    arm = arm_with("slow:every=3:ms=40")
    assert [arm.receive(PING[1], 0.0)[0].delay for _ in range(7)] == [0.04, 0, 0, 0.04, 0, 0, 0.04]


def test_an_overloaded_motor_says_so_and_stands_still():
    arm = arm_with("overload:motor=1:after=1:for=1")
    servo = arm.bus.servos[0]
    servo.set("Torque_Enable", 1)
    servo.set("Goal_Position", servo.present + 1000)
    arm.receive(PING[1], 1.0)
    stopped = servo.q
    assert arm.receive(PING[1], 1.9)[0].data[4] == 32
    assert servo.q == stopped
    assert arm.receive(PING[1], 2.5)[0].data[4] == 0
    assert servo.q > stopped


def test_all_six_answer_a_broadcast_ping_in_order():
    answers = arm_with().receive(instruction_packet(254, Instruction.PING), 0.0)
    assert [answer.data[2] for answer in answers] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("name", sorted(MOTIONS))
def test_a_motion_depends_on_time_and_seed_alone(name):
    first, again = MOTIONS[name](3), MOTIONS[name](3)
    before = np.random.get_state()[1].copy()
    for t in (7.3, 0.0, 12.9):
        np.testing.assert_array_equal(first(t), again(t))
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("name", ["still", "wave", "pick"])
def test_a_motion_stays_between_the_stops_and_is_slow_enough_to_follow(name):
    motion = MOTIONS[name](1)
    poses = np.array([motion(0.02 * i) for i in range(1000)])
    for joint, column in zip(JOINTS, poses.T, strict=True):
        ticks = np.array([joint.actual_ticks(angle) for angle in column])
        if joint.stops is not None:
            assert joint.stops[0] <= ticks.min() and ticks.max() <= joint.stops[1], joint.name
        assert np.abs(np.diff(ticks)).max() / 0.02 < 3072, joint.name


def test_the_sweep_touches_every_stop():
    arm = VirtualArm(shipped_calibration(), motion=MOTIONS["sweep"](0))
    places = []
    for i in range(300):
        arm.advance(0.02 * i)
        places.append([servo.q for servo in arm.bus.servos])
    for joint, column in zip(JOINTS, np.array(places).T, strict=True):
        if joint.stops is not None:
            assert (column.min(), column.max()) == joint.stops


def test_jitter_is_small_fast_and_the_same_again():
    jitter = Jitter(MOTIONS["still"](0), 2.0, seed=5)
    off = np.array([jitter(0.01 * i) - REST for i in range(300)])
    assert 0.5 < np.abs(off).max() <= 2.0
    np.testing.assert_array_equal(jitter(1.23), Jitter(MOTIONS["still"](0), 2.0, seed=5)(1.23))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "time,a,b,c,d,e,f\n0,0,0,0,0,0,0\n2,10,0,0,0,0,50\n"),
        ("a.jsonl", "[0, 0, 0, 0, 0, 0, 0]\n\n[2, 10, 0, 0, 0, 0, 50]\n"),
    ],
)
def test_a_script_is_followed_in_straight_lines(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    motion = motion_of_file(tmp_path / name)
    assert motion(1.0).tolist() == [5, 0, 0, 0, 0, 25]
    assert motion(-1.0).tolist() == [0] * 6
    assert motion(9.0).tolist() == [10, 0, 0, 0, 0, 50]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[0, 1, 2]", "each row is a time and six angles"),
        ("[0, 0, 0, 0, 0, 0, NaN]", "all finite"),
        ("[1, 0, 0, 0, 0, 0, 0]\n[1, 0, 0, 0, 0, 0, 0]", "must rise"),
        ("hello", "each row is a time and six angles"),
        ("", "each row is a time and six angles"),
    ],
)
def test_a_script_of_another_form_is_refused(tmp_path, text, message):
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(ValueError, match=message):
        motion_of_file(tmp_path / "a.jsonl")


@pytest.mark.parametrize("joint", JOINTS, ids=lambda joint: joint.name)
def test_angles_and_ticks_are_inverse(joint):
    assert joint.angle(joint.actual_ticks(12.5)) == pytest.approx(12.5)


def test_the_shipped_calibration_is_written_once_and_another_is_kept(tmp_path):
    assert provide_calibration(tmp_path / "c", "mine") == shipped_calibration()
    path = tmp_path / "c" / "mine.json"
    changed = json.loads(path.read_text())
    changed["gripper"]["range_min"] = 2000
    path.write_text(json.dumps(changed))
    kept = path.read_bytes()
    assert provide_calibration(tmp_path / "c", "mine")["gripper"].range_min == 2000
    assert path.read_bytes() == kept
    arm = VirtualArm(provide_calibration(tmp_path / "c", "mine"))
    assert arm.bus.servos[5].get("Min_Position_Limit") == 2000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "is not a calibration file"),
        ("{", "is not a calibration file"),
        ("{}", "is for the motors"),
        ('{"gripper": {"id": 6, "drive_mode": 0, "homing_offset": 0, "range_min": 9, "range_max": 9}}', "must rise"),
    ],
)
def test_a_file_that_is_no_calibration_is_refused(tmp_path, text, message):
    (tmp_path / "mine.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        provide_calibration(tmp_path, "mine")


def test_commands_change_a_running_arm():
    arm = arm_with()
    arm.command("fault no_answer:motor=2:for=1", 10.0)
    assert not arm.receive(PING[2], 10.5)
    arm.command("clear", 10.5)
    assert arm.receive(PING[2], 10.5)
    arm.command("motion wave 4", 20.0)
    state = json.loads(arm.command("state", 21.0))
    np.testing.assert_allclose(list(state["angles"].values()), MOTIONS["wave"](4)(1.0), atol=0.01)
    with pytest.raises(ValueError, match="'dance' is not understood"):
        arm.command("dance", 21.0)


def test_how_regularly_goals_come_is_told():
    arm = arm_with()
    assert json.loads(arm.command("state", 0.0))["commands"]["count"] == 0
    goals = instruction_packet(254, Instruction.SYNC_WRITE, bytes([42, 2, 1, 0, 8, 2, 0, 8]))
    other = instruction_packet(254, Instruction.SYNC_WRITE, bytes([48, 2, 1, 0, 1]))
    for now in (1.0, 1.03, 1.06, 1.16):
        arm.receive(goals, now)
        arm.receive(other, now)
    told = json.loads(arm.command("state", 2.0))["commands"]
    assert (told["count"], told["median_ms"], told["longest_ms"]) == (4, 30.0, 100.0)


@pytest.mark.parametrize("together", [True, False])
def test_a_pause_between_two_sessions_is_no_interval(together):
    """A driver that disconnects and connects switches the torque, motor by motor or all at once."""
    arm = arm_with()
    goals = instruction_packet(254, Instruction.SYNC_WRITE, bytes([42, 2, 1, 0, 8, 2, 0, 8]))
    torque = [
        instruction_packet(254, Instruction.SYNC_WRITE, bytes([40, 1, 1, on, 2, on]))
        if together
        else instruction_packet(1, Instruction.WRITE, bytes([40, on]))
        for on in (0, 1)
    ]
    for start in (1.0, 500.0):
        arm.receive(torque[1], start)
        for step in range(4):
            arm.receive(goals, start + 0.03 * step)
        arm.receive(torque[0], start + 0.2)
    assert json.loads(arm.command("state", 600.0))["commands"] == {
        "count": 8,
        "median_ms": 30.0,
        "p95_ms": 30.0,
        "longest_ms": 30.0,
        "pauses": 0,
    }


def test_a_pause_between_two_episodes_is_counted_but_is_no_interval():
    """LeRobot's episodic rollout sends nothing for reset_time_s, and leaves the torque on."""
    times = [0.0, 0.03, 5.03, 65.03, 65.06]
    found = intervals((1, time) for time in times)
    assert found == {"count": 5, "median_ms": 30.0, "p95_ms": 4503.0, "longest_ms": 5000.0, "pauses": 1}


def test_what_is_not_an_old_link_is_not_replaced(tmp_path):
    (tmp_path / "port").write_text("mine")
    with pytest.raises(ValueError, match="is no link of a virtual arm"):
        VirtualPort(arm_with(), tmp_path / "port")
    assert (tmp_path / "port").read_text() == "mine"


def test_a_second_arm_of_the_same_name_is_refused_and_a_dead_one_replaced(tmp_path):
    link = tmp_path / "port"
    link.symlink_to("/dev/pts/none")
    with VirtualPort(arm_with(), link) as port:
        assert str(link.readlink()) == port.device
        with pytest.raises(ValueError, match="another virtual arm serves"):
            VirtualPort(arm_with(), link)
    assert not link.is_symlink() and not port.control.exists()


@pytest.mark.parametrize(("times", "count", "median"), [([], 0, None), ([0.5], 1, None), ([0.0, 0.03, 0.06], 3, 30.0)])
def test_intervals_count_commands_not_gaps(times, count, median):
    found = intervals((0, time) for time in times)
    assert (found["count"], found["median_ms"]) == (count, median)
