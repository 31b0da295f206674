# SPDX-License-Identifier: Apache-2.0
"""Looking at the datasets of a mixture: what is shown, the page that plays it, and the same as a rerun recording."""
