# SPDX-License-Identifier: Apache-2.0
"""The mathematics of ambient co-training: noise levels, windows, the plan, the losses."""
