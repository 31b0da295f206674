# SPDX-License-Identifier: Apache-2.0
"""The policy types of this package; importing `registered` makes LeRobot know them."""
