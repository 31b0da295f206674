# SPDX-License-Identifier: Apache-2.0
"""End-effector space: the chain of a URDF, poses and steps of its tip, and a dataset's numbers as such."""
