# SPDX-License-Identifier: Apache-2.0
"""What was found: windows per dataset, bucket or data point, what they may be written for, the plan they lead to."""
