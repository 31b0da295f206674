# SPDX-License-Identifier: Apache-2.0
"""Models of LeRobot's policies with a few thousand random weights, in the place of a download."""
