# SPDX-License-Identifier: Apache-2.0
"""The protocol, byte by byte, against Feetech's own SDK."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lerobot_ambient.testing.virtual_arm.arm import VirtualArm
from lerobot_ambient.testing.virtual_arm.joints import shipped_calibration
from lerobot_ambient.testing.virtual_arm.packets import Instruction, PacketReader, instruction_packet, status_packet
from lerobot_ambient.testing.virtual_arm.registers import REGISTERS

PACKETS = st.tuples(st.integers(0, 253), st.sampled_from(list(Instruction)), st.binary(max_size=40))


class Line:
    """A port of the SDK whose other end is an arm in this process."""

    def __init__(self, arm):
        self.arm, self.written, self.incoming, self.is_using = arm, [], bytearray(), False

    def clearPort(self):  # noqa: N802
        pass

    def writePort(self, packet):  # noqa: N802
        self.written.append(bytes(packet))
        for answer in self.arm.receive(bytes(packet), 0.0):
            self.incoming += answer.data
        return len(packet)

    def readPort(self, length):  # noqa: N802
        data = bytes(self.incoming[:length])
        del self.incoming[:length]
        return data

    def setPacketTimeout(self, length):  # noqa: N802
        pass

    def isPacketTimeout(self):  # noqa: N802
        return not self.incoming


@pytest.fixture
def line():
    return Line(VirtualArm(shipped_calibration()))


@pytest.fixture
def sdk(feetech):
    import scservo_sdk

    return scservo_sdk


def test_a_packet_is_the_bytes_that_the_sdk_sends(sdk, line):
    handler = sdk.PacketHandler(0)
    handler.writeTxRx(line, 3, 42, 2, [0x34, 0x12])
    handler.read2ByteTxRx(line, 3, 56)
    handler.syncReadTx(line, 56, 2, [1, 2], 2)
    assert line.written == [
        instruction_packet(3, Instruction.WRITE, bytes([42, 0x34, 0x12])),
        instruction_packet(3, Instruction.READ, bytes([56, 2])),
        instruction_packet(254, Instruction.SYNC_READ, bytes([56, 2, 1, 2])),
    ]


def test_the_sdk_understands_every_answer(sdk, line):
    handler = sdk.PacketHandler(0)
    assert handler.ping(line, 6) == (777, sdk.COMM_SUCCESS, 0)
    assert handler.ping(line, 7)[1] == sdk.COMM_RX_TIMEOUT
    assert handler.write2ByteTxRx(line, 2, 48, 500) == (sdk.COMM_SUCCESS, 0)
    assert handler.read2ByteTxRx(line, 2, 48) == (500, sdk.COMM_SUCCESS, 0)


def test_a_registered_write_waits_for_its_action(sdk, line):
    handler = sdk.PacketHandler(0)
    handler.regWriteTxRx(line, 2, 48, 2, [0xF4, 0x01])
    assert handler.read2ByteTxRx(line, 2, 48)[0] == 1000
    handler.action(line, sdk.BROADCAST_ID)
    assert handler.read2ByteTxRx(line, 2, 48)[0] == 500


def test_a_sync_write_reaches_its_motors_and_no_other_and_is_not_answered(sdk, line):
    writer = sdk.GroupSyncWrite(line, sdk.PacketHandler(0), 48, 2)
    for motor, value in ((1, 100), (4, 400)):
        writer.addParam(motor, [value & 0xFF, value >> 8])
    assert writer.txPacket() == sdk.COMM_SUCCESS
    assert not line.incoming
    assert [servo.get("Torque_Limit") for servo in line.arm.bus.servos] == [100, 1000, 1000, 400, 1000, 1000]


@given(st.lists(PACKETS, max_size=5), st.data())
@settings(max_examples=60, deadline=None)
def test_packets_are_found_however_the_stream_is_cut(packets, data):
    stream = b"".join(instruction_packet(*packet) for packet in packets)
    reader, found = PacketReader(), []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        found += reader.feed(stream[:cut])
        stream = stream[cut:]
    assert [(p.motor, p.instruction, p.parameters) for p in found] == packets


def test_noise_and_a_wrong_checksum_are_passed_over():
    good = instruction_packet(1, Instruction.PING)
    bad = good[:-1] + bytes([good[-1] ^ 1])
    assert [p.motor for p in PacketReader().feed(b"\x00\xff\x07" + bad + good)] == [1]


def test_a_status_packet_carries_its_error():
    assert status_packet(1, 32) == bytes([0xFF, 0xFF, 1, 2, 32, 0xFF & ~(1 + 2 + 32)])


def test_the_registers_lie_where_lerobot_looks_for_them():
    tables = pytest.importorskip("lerobot.motors.feetech.tables")
    theirs = {name.strip(): place for name, place in tables.STS_SMS_SERIES_CONTROL_TABLE.items()}
    theirs["Moving_Velocity_Threshold"] = theirs.pop("Moving_Velocity")
    assert {name: (r.address, r.size) for name, r in REGISTERS.items()} == theirs
    signs = {name: bit for name, bit in tables.STS_SMS_SERIES_ENCODINGS_TABLE.items() if name in REGISTERS}
    ours = {name: r.sign_bit for name, r in REGISTERS.items() if r.sign_bit is not None}
    # LeRobot never reads this mirror of Goal_Position.
    assert ours.pop("Goal_Position_2") == 15
    assert ours == signs
