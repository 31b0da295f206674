# SPDX-License-Identifier: Apache-2.0
"""The serial port: a pseudo-terminal behind a link of the user's name, and a named pipe that takes commands.

The link NAME points to the terminal; NAME.control is the pipe: `echo "fault no_answer:motor=3" > NAME.control`. A pipe
needs no client, works alike on Linux and macOS, and tells by its reader whether another arm already owns the name.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import os
import pty
import select
import stat
import time
import tty
from collections.abc import Callable
from pathlib import Path

from .arm import VirtualArm

_SILENCE = 0.05
"""Seconds after which an unfinished instruction is dropped."""

_TICK = 0.02
"""Longest wait of the loop, so that schedules are kept to this many seconds."""


class VirtualPort:
    """A pseudo-terminal on which `arm` answers until `quit`; use it as a context, which removes what it made.

    Args:
        arm: what is at the other end.
        link: the name drivers open; its folder is made.
        say: gets one line for each event.
        clock: the monotonic clock the arm was made with.

    Raises:
        ValueError: `link` is something else than an old link, or another arm serves it.
    """

    def __init__(
        self,
        arm: VirtualArm,
        link: Path,
        *,
        say: Callable[[str], None] = print,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.arm = arm
        self.link = link
        self.control = link.with_name(f"{link.name}.control")
        self.device: str | None = None
        self._say = say
        self._clock = clock
        self._ends: tuple[int, int] | None = None
        self._late: list[tuple[float, int, bytes]] = []
        self._sent = 0
        self._heard = clock()
        self._commands = b""
        link.parent.mkdir(parents=True, exist_ok=True)
        self._refuse_what_is_not_ours()
        with contextlib.suppress(FileNotFoundError):
            self.control.unlink()
        os.mkfifo(self.control)
        # Open for writing too, or the pipe would report its end whenever a writer leaves.
        self._pipe = os.open(self.control, os.O_RDWR | os.O_NONBLOCK)
        self._plug()

    def __enter__(self) -> VirtualPort:
        return self

    def __exit__(self, *error: object) -> None:
        self._unplug()
        os.close(self._pipe)
        with contextlib.suppress(FileNotFoundError):
            self.control.unlink()

    def serve(self) -> None:
        """Answer until the command `quit`."""
        while self.serve_once():
            pass

    def serve_once(self) -> bool:
        """Wait for at most TICK, answer what came, keep the schedules; return False after `quit`."""
        now = self._clock()
        self._keep_plug(now)
        wait = min([_TICK, *(max(0.0, due - now) for due, _, _ in self._late[:1])])
        watched = [self._pipe, *([self._ends[0]] if self._ends else [])]
        ready, _, _ = select.select(watched, [], [], wait)
        now = self._clock()
        if self._ends and self._ends[0] in ready:
            self._listen(os.read(self._ends[0], 4096), now)
        elif now - self._heard > _SILENCE:
            self.arm.line_was_silent()
            self._heard = now
        self._send_what_is_due(now)
        return self._pipe not in ready or self._obey(os.read(self._pipe, 4096))

    def _listen(self, data: bytes, now: float) -> None:
        self._heard = now
        due = now
        for answer in self.arm.receive(data, now):
            # The line is one wire: an answer that waits holds up those behind it.
            due += answer.delay
            self._sent += 1
            heapq.heappush(self._late, (due, self._sent, answer.data))

    def _send_what_is_due(self, now: float) -> None:
        while self._late and self._late[0][0] <= now and self._ends:
            data = heapq.heappop(self._late)[2]
            # Nobody reads and the terminal's buffer is full: a serial line loses bytes then, and so does this one.
            with contextlib.suppress(BlockingIOError):
                os.write(self._ends[0], data)

    def _obey(self, data: bytes) -> bool:
        *lines, self._commands = (self._commands + data).split(b"\n")
        for line in lines:
            text = line.decode(errors="replace").strip()
            if text == "quit":
                return False
            if text:
                try:
                    self._say(self.arm.command(text, self._clock()))
                except ValueError as error:
                    self._say(f"error: {error}")
        return True

    def _keep_plug(self, now: float) -> None:
        unplugged = self.arm.unplugged(now)
        if unplugged and self._ends:
            self._unplug()
            self._say("unplugged")
        elif not unplugged and not self._ends:
            self._plug()
            self._say(f"plugged in again: {self.link} -> {self.device}")

    def _plug(self) -> None:
        master, slave = pty.openpty()
        # Raw from the start: an echo would come back to the driver as if a servo had spoken.
        tty.setraw(slave)
        os.set_blocking(master, False)
        # This process keeps the slave open: with no opener left, reading the master would fail between two drivers.
        self._ends = (master, slave)
        self.device = os.ttyname(slave)
        temporary = self.link.with_name(f".{self.link.name}.{os.getpid()}")
        temporary.symlink_to(self.device)
        os.replace(temporary, self.link)

    def _unplug(self) -> None:
        if self._ends is None:
            return
        if self.link.is_symlink() and os.readlink(self.link) == self.device:
            self.link.unlink()
        for end in self._ends:
            os.close(end)
        self._ends = self.device = None
        self._late.clear()

    def _refuse_what_is_not_ours(self) -> None:
        if self.link.exists() and not self.link.is_symlink():
            raise ValueError(f"{self.link} exists and is no link of a virtual arm; choose another --port")
        if not self.control.exists():
            return
        if not stat.S_ISFIFO(self.control.stat().st_mode):
            raise ValueError(f"{self.control} exists and is no control pipe; choose another --port")
        try:
            os.close(os.open(self.control, os.O_WRONLY | os.O_NONBLOCK))
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return
        raise ValueError(f"another virtual arm serves {self.link}; end it (echo quit > {self.control}) or rename")
