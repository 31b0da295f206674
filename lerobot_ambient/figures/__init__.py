# SPDX-License-Identifier: Apache-2.0
"""How figures look, and those that more than one layer draws: the plan as heat map."""
