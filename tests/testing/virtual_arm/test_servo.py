# SPDX-License-Identifier: Apache-2.0
"""Registers and motion of one servo, under a clock that only the test moves."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lerobot_ambient.testing.virtual_arm.registers import REGISTERS, TICKS
from lerobot_ambient.testing.virtual_arm.servo import V_MAX, Servo


def holding(q: float = 1000.0, **options) -> Servo:
    servo = Servo(1, q, **options)
    servo.set("Torque_Enable", 1)
    return servo


@given(st.sampled_from([name for name, r in REGISTERS.items() if r.sign_bit is not None]), st.data())
@settings(max_examples=60, deadline=None)
def test_a_signed_value_survives_memory(name, data):
    register = REGISTERS[name]
    limit = (1 << register.sign_bit) - 1
    value = data.draw(st.integers(-limit, limit))
    assert register.decode(register.encode(value)) == value
    with pytest.raises(ValueError, match="is outside"):
        register.encode(limit + 1)


def test_read_only_registers_stay():
    servo = Servo(1, 1000)
    servo.write(REGISTERS["Present_Position"].address, b"\x01\x02")
    servo.write(REGISTERS["Model_Number"].address, b"\x01\x02")
    assert (servo.get("Present_Position"), servo.get("Model_Number")) == (1000, 777)


def test_eeprom_outlives_power_only_when_it_was_unlocked():
    servo = holding()
    servo.set("P_Coefficient", 16)
    assert servo.get("P_Coefficient") == 16
    servo.set("Lock", 0)
    servo.set("Homing_Offset", -200)
    servo.power_cycle()
    assert (servo.get("P_Coefficient"), servo.get("Homing_Offset")) == (32, -200)
    assert (servo.torque, servo.get("Lock")) == (False, 1)


@pytest.mark.parametrize(("q", "offset", "present"), [(1000, 0, 1000), (1000, 64, 936), (100, 200, TICKS - 100)])
def test_present_is_actual_less_offset_in_one_turn(q, offset, present):
    servo = Servo(1, q)
    servo.set("Homing_Offset", offset)
    assert servo.get("Present_Position") == present


def test_it_reaches_its_goal_within_a_tick_and_stays():
    servo = holding()
    servo.set("Goal_Position", 1500)
    servo.advance(3.0)
    assert abs(servo.present - 1500) <= 1
    assert (servo.get("Moving"), servo.get("Present_Velocity")) == (0, 0)
    before = servo.q
    servo.advance(1000.0)
    assert servo.q == before


def test_it_breaks_neither_its_speed_nor_its_acceleration():
    servo = holding(100.0)
    servo.set("Acceleration", 100)
    servo.set("Goal_Position", 3900)
    velocities = []
    for i in range(1, 500):
        servo.advance(0.002 * i)
        velocities.append(servo.v)
    changes = [b - a for a, b in zip([0.0, *velocities], velocities, strict=False)]
    assert max(velocities) == pytest.approx(V_MAX)
    assert max(abs(change) for change in changes) <= 10_000 * 0.002 + 1e-6


def test_a_goal_velocity_limits_the_speed():
    servo = holding()
    servo.set("Goal_Velocity", 300)
    servo.set("Goal_Position", 3000)
    servo.advance(1.0)
    assert servo.get("Present_Velocity") == 300
    assert 1250 < servo.present <= 1300


def test_a_goal_takes_effect_after_the_latency():
    servo = holding(latency=0.5)
    servo.set("Goal_Position", 1500)
    servo.advance(0.5)
    assert servo.present == 1000
    servo.advance(0.6)
    assert servo.present > 1000


def test_a_goal_beyond_the_limits_ends_at_the_limit():
    servo = holding()
    servo.set("Max_Position_Limit", 1200)
    servo.set("Goal_Position", 3000)
    servo.advance(3.0)
    assert abs(servo.present - 1200) <= 1


def test_torque_on_holds_and_only_torque_off_lets_a_hand_move_it():
    servo = holding(stops=(500.0, 1400.0))
    servo.move_by_hand(1200.0)
    assert servo.q == 1000.0
    servo.set("Torque_Enable", 0)
    servo.move_by_hand(5000.0)
    assert servo.q == 1400.0
    servo.set("Torque_Enable", 1)
    servo.advance(1.0)
    assert abs(servo.q - 1400.0) <= 0.5


def test_velocity_mode_turns_for_ever():
    servo = holding()
    servo.set("Operating_Mode", 1)
    servo.set("Goal_Velocity", -1000)
    servo.advance(10.0)
    assert servo.get("Present_Velocity") == -1000
    assert 0 <= servo.present < TICKS


def test_the_result_does_not_depend_on_how_often_it_is_asked():
    rarely, often = holding(), holding()
    for servo in (rarely, often):
        servo.set("Goal_Position", 2000)
    for i in range(1, 101):
        often.advance(0.01 * i)
    rarely.advance(1.0)
    assert abs(rarely.q - often.q) <= 1.0


def test_a_clock_that_goes_back_is_refused():
    servo = Servo(1, 1000, now=2.0)
    with pytest.raises(ValueError, match=r"went back from 2.0 to 1.0"):
        servo.advance(1.0)
