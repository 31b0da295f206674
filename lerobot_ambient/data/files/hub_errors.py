# SPDX-License-Identifier: Apache-2.0
"""What comes back when something cannot be had from the Hub, and why, in words.

LeRobot and huggingface_hub say "not found" or "check your connection" whatever the Hub answered; the status is in an
error that caused theirs.
"""

from __future__ import annotations

import httpx
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

NOT_ON_THE_HUB = (
    *(FileNotFoundError, HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, ConnectionError),
    httpx.TransportError,
)
"""What LeRobot lets through when a dataset, or a file of it, cannot be had."""


_ADVICE = {
    401: " (not logged in, or no such dataset; `hf auth login`)",
    403: " (this token may not read it)",
    404: " (no such dataset, or it is private)",
}


def reason_of(error: BaseException) -> str:
    """What the Hub had against it, from the error or what caused it; nothing where it was not asked."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, HfHubHTTPError) and getattr(cause, "response", None) is not None:
            status = cause.response.status_code
            return f": the Hub answered {status}{_ADVICE.get(status, '; repeat the command later')}"
        if isinstance(cause, httpx.TransportError):
            return ": the Hub could not be reached; nothing is lost, repeat the command later"
        cause = cause.__cause__ or cause.__context__
    return ""
