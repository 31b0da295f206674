# SPDX-License-Identifier: Apache-2.0
"""Chunks that share a window: how a dataset is divided into buckets, and a window for each."""
