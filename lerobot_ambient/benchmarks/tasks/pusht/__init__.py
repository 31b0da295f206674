# SPDX-License-Identifier: Apache-2.0
"""gym-pusht's PushT by its keypoints: clean demonstrations of a planner, and some with a planted fault."""
