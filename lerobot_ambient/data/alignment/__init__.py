# SPDX-License-Identifier: Apache-2.0
"""A source in the target's language: dimensions by name, units, steps against positions."""
