# SPDX-License-Identifier: Apache-2.0
"""The way in from Python: what `lerobot-train` does with a configuration, as objects and functions."""
