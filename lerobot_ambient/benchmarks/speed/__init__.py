# SPDX-License-Identifier: Apache-2.0
"""What is measured of speed and memory, each beside a baseline in the same run."""
