# SPDX-License-Identifier: Apache-2.0
"""Public datasets as data: what their cameras and numbers mean, where each fact is from, and whether they agree."""
