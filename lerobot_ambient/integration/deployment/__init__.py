# SPDX-License-Identifier: Apache-2.0
"""A trained policy where it acts: compared with its robot, environment or client first, and stopped safely."""
