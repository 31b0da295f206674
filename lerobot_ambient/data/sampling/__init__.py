# SPDX-License-Identifier: Apache-2.0
"""Which frames are drawn: groups of equal windows, and exact counts of each."""
