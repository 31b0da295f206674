#!/usr/bin/env bash
# Builds the environment: make_env.sh FOLDER EXTRAS, run in the repository's root. Safe to repeat. uv installs in a
# fraction of pip's time, so it is used when it is there or can be installed; pip does the same job otherwise.
set -euo pipefail

venv=$1
extras=$2
here=$(dirname "${BASH_SOURCE[0]}")
source "$here/installer.sh"

if ! "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then
  python=$("$here/find_python.sh")
  echo "creating $venv with $python"
  "$python" -m venv --clear "$venv"
fi
hand_over_index "$venv"

with_uv() {
  local uv
  uv=$(uv_of "$venv") || return 1
  # Bytecode is compiled now, or every later start of Python would pay for torch and LeRobot again.
  "$uv" pip install --python "$venv/bin/python" --compile-bytecode \
    -c constraints.txt --build-constraints constraints.txt --overrides <(echo "$without_display") -e ".[$extras]"
}

# What pip cannot leave out is replaced: the headless OpenCV is put back on top.
with_pip() {
  "$venv/bin/python" -m pip install -c constraints.txt -e ".[$extras]"
  if "$venv/bin/python" -m pip show --quiet opencv-python 2>/dev/null; then
    "$venv/bin/python" -m pip uninstall --quiet --yes opencv-python
    "$venv/bin/python" -m pip install --quiet -c constraints.txt --force-reinstall --no-deps opencv-python-headless
  fi
}

if ! with_uv; then
  echo "uv could not install the environment; using pip" >&2
  with_pip
fi
"$venv/bin/python" -m pip check || echo "pip check found the above; the environment is used as it is" >&2
