# SPDX-License-Identifier: Apache-2.0
"""Faults of the line and of single servos, on a schedule.

A fault is written KIND[:motor=N][:after=S][:for=S][:every=K][:ms=M]. `after` counts from when the fault is given
(start-up, or the command); it is active in [after, after + for).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

KINDS = {
    "no_answer": "the servo is deaf and mute",
    "checksum": "its answers carry a wrong checksum",
    "truncated": "its answers lack their last two bytes",
    "overload": "it stops moving and its answers carry the overload bit",
    "slow": "its answers come `ms` milliseconds late (default 100)",
    "unplugged": "the port disappears, as when the cable is pulled",
}
"""Every kind of fault and what it does."""

_NUMBERS = ("motor", "after", "for", "every", "ms")


@dataclass(frozen=True)
class Fault:
    """A fault of one kind.

    Attributes:
        kind: one of KINDS.
        motor: the servo's ID; None for all of them.
        start: clock time from which it is active, inclusive.
        end: clock time until which it is active, exclusive.
        every: it strikes the first and then every K-th answer that it could strike; 1 strikes them all.
        ms: milliseconds of delay, for `slow`.
    """

    kind: str
    motor: int | None = None
    start: float = 0.0
    end: float = math.inf
    every: int = 1
    ms: float = 100.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"fault kind {self.kind!r} is not one of {', '.join(KINDS)}")
        if self.kind == "unplugged" and (self.motor is not None or self.every != 1):
            raise ValueError("the fault unplugged concerns the whole port; leave out motor= and every=")
        if self.kind == "overload" and self.every != 1:
            raise ValueError("the fault overload is a state of the servo, not of single answers; leave out every=")
        if self.motor is not None and not 0 <= self.motor <= 253:
            raise ValueError(f"fault {self.kind}: motor {self.motor} is outside [0, 253]")
        if self.every < 1:
            raise ValueError(f"fault {self.kind}: every={self.every} must be at least 1")
        if not self.end > self.start:
            raise ValueError(f"fault {self.kind}: for= must be above 0, it ends at {self.end} from {self.start}")
        if not 0 <= self.ms < math.inf:
            raise ValueError(f"fault {self.kind}: ms={self.ms} must be a number from 0 up")

    def active(self, now: float, motor: int | None = None) -> bool:
        """Tell whether it is active at `now`, for `motor` if one is named."""
        return self.start <= now < self.end and (motor is None or self.motor in (None, motor))


def parse_fault(text: str, now: float = 0.0) -> Fault:
    """Read a fault such as `no_answer:motor=3:after=5:for=2`, its times counted from `now`.

    Raises:
        ValueError: the text does not follow the grammar of this module.
    """
    kind, *words = text.strip().split(":")
    given: dict[str, float] = {}
    for word in words:
        name, equals, value = word.partition("=")
        try:
            if name not in _NUMBERS or not equals or name in given:
                raise ValueError
            given[name] = float(value)
            if math.isnan(given[name]) or (name in ("motor", "every") and given[name] % 1 != 0):
                raise ValueError
        except ValueError:
            raise ValueError(
                f"fault {text!r}: {word!r} is not understood; write KIND[:motor=N][:after=S][:for=S][:every=K][:ms=M]"
            ) from None
    if "ms" in given and kind != "slow":
        raise ValueError(f"fault {text!r}: ms= belongs to slow only")
    if given.get("after", 0.0) < 0 or math.isinf(given.get("after", 0.0)):
        raise ValueError(f"fault {text!r}: after= must be a number from 0 up")
    start = now + given.get("after", 0.0)
    fault = Fault(kind, start=start, end=start + given.get("for", math.inf), every=int(given.get("every", 1)))
    if "motor" in given:
        fault = replace(fault, motor=int(given["motor"]))
    return replace(fault, ms=given["ms"]) if "ms" in given else fault
