# SPDX-License-Identifier: Apache-2.0
"""Planar pushing in two physics."""
