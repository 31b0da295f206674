# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for what a test or a rehearsal lacks: an arm, a Hub, a camera; nothing here knows of policies."""
