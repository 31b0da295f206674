# SPDX-License-Identifier: Apache-2.0
"""The policy type `ambient_diffusion`: LeRobot's triplet of files, its denoisers, and what ambient training adds."""
