# SPDX-License-Identifier: Apache-2.0
"""Where torchcodec does not load LeRobot logs the page that it says about it, twice in every training; here a line."""

from __future__ import annotations

import logging
import sys

from lerobot_ambient.integration.option_errors import ours_are_meant

LOGGER = "lerobot.utils.import_utils"


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
        from lerobot_ambient.integration.doctor import explain_torchcodec

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
    logger = logging.getLogger(LOGGER)
    if not any(isinstance(known, ShortenedNotice) for known in logger.filters):
        logger.addFilter(ShortenedNotice())
