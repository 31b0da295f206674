# SPDX-License-Identifier: Apache-2.0
"""Whether judgements on held-out episodes are true: of sources that are known, and of policies that rolled out."""
