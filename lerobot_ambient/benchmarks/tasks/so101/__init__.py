# SPDX-License-Identifier: Apache-2.0
"""Recordings as of one SO-101 that puts a cube into a box: careful ones and clumsy ones."""
