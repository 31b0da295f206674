# SPDX-License-Identifier: Apache-2.0
"""What the tasks share: how datasets are written and remembered, and what every environment has to pass."""
