# SPDX-License-Identifier: Apache-2.0
"""The files of a LeRobotDataset as they lie on disk, each read so that damage is named."""
