# SPDX-License-Identifier: Apache-2.0
"""Frames of cameras: which are needed, where they are stored, how they are decoded and cached."""
