# SPDX-License-Identifier: Apache-2.0
"""A mixture: datasets opened, aligned, grouped, planned and merged, one function a step."""
