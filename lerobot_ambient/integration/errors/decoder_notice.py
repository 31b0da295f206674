# SPDX-License-Identifier: Apache-2.0
"""Where torchcodec does not load LeRobot logs the page that it says about it, twice in every training; here a line."""

from __future__ import annotations

import logging
import platform
import sys

from lerobot_ambient.integration.errors.option_errors import ours_are_meant

_LOGGER = "lerobot.utils.import_utils"

_WITH_CONDA = "conda install -c conda-forge ffmpeg"

_INSTALL_FFMPEG = {
    "Linux": f"apt-get install ffmpeg, or {_WITH_CONDA}",
    "Darwin": f"brew install ffmpeg, or {_WITH_CONDA}",
    "Windows": f"winget install Gyan.FFmpeg.Shared, or {_WITH_CONDA}",
}
"""What brings the libraries that torchcodec loads, by `platform.system()`."""


class ShortenedNotice(logging.Filter):
    """Turns the page into one line with the remedy, once in a process; lets all else through."""

    def __init__(self) -> None:
        super().__init__()
        self._told = False

    def filter(self, record: logging.LogRecord) -> bool:
        page = record.getMessage()
        if "'torchcodec' is installed but cannot be loaded" not in page:
            return True
        if self._told:
            return False
        self._told = True
        reason, fix = explain_torchcodec(page)
        record.msg = f"torchcodec does not load: {reason}. Videos are decoded by PyAV. To have it: {fix}."
        record.args = ()
        return True


def install_in_command() -> None:
    """Shorten the notice in this process, where its command line is about one of our types. Idempotent."""
    if ours_are_meant(sys.argv[1:]):
        install()


def install() -> None:
    """Shorten the notice in this process. Idempotent."""
    logger = logging.getLogger(_LOGGER)
    if not any(isinstance(known, ShortenedNotice) for known in logger.filters):
        logger.addFilter(ShortenedNotice())


def explain_torchcodec(message: str) -> tuple[str, str]:
    """Its page-long message as (reason, fix), one line each.

    It tries its build for every FFmpeg version in turn; a version that is not installed lacks libavutil.
    """
    errors = [line.strip() for line in message.splitlines() if line.startswith("OSError: ")]
    telling = [line for line in errors if "libavutil" not in line and "Could not load this library" not in line]
    if errors and not telling:
        return (
            "FFmpeg's shared libraries are not installed",
            f"{_INSTALL_FFMPEG.get(platform.system(), _WITH_CONDA)} (versions 4 to 8); or stay with PyAV",
        )
    first = telling[0].removeprefix("OSError: ") if telling else message.strip().splitlines()[0]
    return first, "install the torchcodec that goes with this torch, see its table of versions; or stay with PyAV"
