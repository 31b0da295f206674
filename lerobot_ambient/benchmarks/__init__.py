# SPDX-License-Identifier: Apache-2.0
"""The laboratory: tasks, what the method is tried on, what was measured; nothing that users need imports it."""
