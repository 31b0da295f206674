# SPDX-License-Identifier: Apache-2.0
"""The affine maps that noise levels are relative to, and the statistics behind them."""
