# SPDX-License-Identifier: Apache-2.0
"""What LeRobot's training is given: the mixture in the place of a dataset."""
