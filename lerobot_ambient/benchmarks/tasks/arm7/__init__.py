# SPDX-License-Identifier: Apache-2.0
"""Motion planning for a seven-joint arm in MuJoCo: few smooth paths and many raw ones."""
