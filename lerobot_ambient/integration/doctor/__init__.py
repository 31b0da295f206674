# SPDX-License-Identifier: Apache-2.0
"""Checks of an installation, a configuration, and the cameras of a dataset."""
