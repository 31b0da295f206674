# SPDX-License-Identifier: Apache-2.0
"""Windows as they are stored: a file per dataset, or inside a merged one."""
