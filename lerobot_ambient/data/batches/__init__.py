# SPDX-License-Identifier: Apache-2.0
"""Aligned datasets behind one index, and batches gathered from it."""
