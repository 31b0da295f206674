# SPDX-License-Identifier: Apache-2.0
"""The options that every ambient policy type has: its sources and how they are mixed."""
