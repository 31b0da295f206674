# SPDX-License-Identifier: Apache-2.0
"""The policy type `ambient_diffusion`: LeRobot's configuration / modeling / processor triplet."""
