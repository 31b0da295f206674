# SPDX-License-Identifier: Apache-2.0
"""Proposals of alignment from metadata alone, and the configuration files they are written to."""
