# SPDX-License-Identifier: Apache-2.0
"""What the tests of studies share."""

import pytest

from lerobot_ambient.integration import register_now


@pytest.fixture(autouse=True, scope="session")
def _types_are_known():
    """LeRobot's parser knows our policies and environments, whichever of these tests comes first."""
    register_now()
