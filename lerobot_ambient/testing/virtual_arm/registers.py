# SPDX-License-Identifier: Apache-2.0
"""The STS3215's register table: addresses, sizes, signs, and the values a servo leaves the factory with.

Source: Feetech's STS/SMS memory table, in the names that LeRobot gives the registers. Two-byte values lie low byte
first. Signed values are sign and magnitude: one bit says minus, the bits below it hold the absolute value.
"""

from __future__ import annotations

from dataclasses import dataclass

TICKS = 4096
"""Ticks of one turn."""

SIZE = 87
"""Registers lie at the addresses [0, SIZE)."""

_MODEL_STS3215 = 777
_FIRMWARE = (3, 10)


@dataclass(frozen=True)
class Register:
    """A register: its first address, its size in bytes (1 or 2), the bit of its sign, whether it can be written."""

    address: int
    size: int = 1
    sign_bit: int | None = None
    writable: bool = True
    factory: int = 0

    def encode(self, value: int) -> bytes:
        """Return `value` as it lies in memory.

        Raises:
            ValueError: the value does not fit.
        """
        limit = (1 << (self.sign_bit if self.sign_bit is not None else 8 * self.size)) - 1
        lowest = -limit if self.sign_bit is not None else 0
        if not lowest <= value <= limit:
            raise ValueError(f"register at {self.address}: {value} is outside [{lowest}, {limit}]")
        bits = abs(value) | (1 << self.sign_bit if self.sign_bit is not None and value < 0 else 0)
        return bits.to_bytes(self.size, "little")

    def decode(self, data: bytes) -> int:
        """Return the value that `size` bytes of memory hold."""
        bits = int.from_bytes(data, "little")
        if self.sign_bit is None:
            return bits
        magnitude = bits & ((1 << self.sign_bit) - 1)
        return -magnitude if bits >> self.sign_bit & 1 else magnitude


REGISTERS = {
    "Firmware_Major_Version": Register(0, writable=False, factory=_FIRMWARE[0]),
    "Firmware_Minor_Version": Register(1, writable=False, factory=_FIRMWARE[1]),
    "Model_Number": Register(3, 2, writable=False, factory=_MODEL_STS3215),
    "ID": Register(5, factory=1),
    "Baud_Rate": Register(6),
    "Return_Delay_Time": Register(7, factory=250),
    "Response_Status_Level": Register(8, factory=1),
    "Min_Position_Limit": Register(9, 2),
    "Max_Position_Limit": Register(11, 2, factory=TICKS - 1),
    "Max_Temperature_Limit": Register(13, factory=70),
    "Max_Voltage_Limit": Register(14, factory=80),
    "Min_Voltage_Limit": Register(15, factory=40),
    "Max_Torque_Limit": Register(16, 2, factory=1000),
    "Phase": Register(18, factory=12),
    "Unloading_Condition": Register(19, factory=44),
    "LED_Alarm_Condition": Register(20, factory=47),
    "P_Coefficient": Register(21, factory=32),
    "D_Coefficient": Register(22, factory=32),
    "I_Coefficient": Register(23),
    "Minimum_Startup_Force": Register(24, 2, factory=16),
    "CW_Dead_Zone": Register(26, factory=1),
    "CCW_Dead_Zone": Register(27, factory=1),
    "Protection_Current": Register(28, 2, factory=310),
    "Angular_Resolution": Register(30, factory=1),
    "Homing_Offset": Register(31, 2, sign_bit=11),
    "Operating_Mode": Register(33),
    "Protective_Torque": Register(34, factory=20),
    "Protection_Time": Register(35, factory=200),
    "Overload_Torque": Register(36, factory=80),
    "Velocity_closed_loop_P_proportional_coefficient": Register(37, factory=10),
    "Over_Current_Protection_Time": Register(38, factory=200),
    "Velocity_closed_loop_I_integral_coefficient": Register(39, factory=10),
    "Torque_Enable": Register(40),
    "Acceleration": Register(41),
    "Goal_Position": Register(42, 2, sign_bit=15),
    "Goal_Time": Register(44, 2),
    "Goal_Velocity": Register(46, 2, sign_bit=15),
    "Torque_Limit": Register(48, 2, factory=1000),
    "Lock": Register(55, factory=1),
    "Present_Position": Register(56, 2, sign_bit=15, writable=False),
    "Present_Velocity": Register(58, 2, sign_bit=15, writable=False),
    "Present_Load": Register(60, 2, sign_bit=10, writable=False),
    "Present_Voltage": Register(62, writable=False, factory=74),
    "Present_Temperature": Register(63, writable=False, factory=30),
    "Status": Register(65, writable=False),
    "Moving": Register(66, writable=False),
    "Present_Current": Register(69, 2, writable=False),
    "Goal_Position_2": Register(71, 2, sign_bit=15, writable=False),
    "Moving_Velocity_Threshold": Register(80, factory=1),
    "DTs": Register(81, factory=10),
    "Velocity_Unit_factor": Register(82, factory=50),
    "Hts": Register(83),
    "Maximum_Velocity_Limit": Register(84, factory=68),
    "Maximum_Acceleration": Register(85, factory=254),
    "Acceleration_Multiplier": Register(86, factory=1),
}
"""Every register by the name that LeRobot's tables give it."""

EEPROM = range(5, 40)
"""Addresses that outlive a loss of power, when written while `Lock` is 0."""

READ_ONLY = frozenset(
    register.address + byte for register in REGISTERS.values() if not register.writable for byte in range(register.size)
)
"""Addresses a write leaves as they are."""


def factory_memory(motor: int) -> bytearray:
    """Return the (SIZE,) bytes of a new servo whose ID is `motor`."""
    memory = bytearray(SIZE)
    for name, register in REGISTERS.items():
        value = motor if name == "ID" else register.factory
        memory[register.address : register.address + register.size] = register.encode(value)
    return memory
