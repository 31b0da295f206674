#!/usr/bin/env bash
# Builds the environment: make_env.sh FOLDER EXTRAS, run in the repository's root. Safe to repeat. uv installs in a
# fraction of pip's time, so it is used when it is there or can be installed; pip does the same job otherwise.
set -euo pipefail

venv=$1
extras=$2
here=$(dirname "${BASH_SOURCE[0]}")

if ! "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then
  python=$("$here/find_python.sh")
  echo "creating $venv with $python"
  "$python" -m venv --clear "$venv"
fi

# uv does not read pip's configuration, so the package index set there is handed over.
index=$("$venv/bin/python" -m pip config get global.index-url 2>/dev/null || true)
export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$index}}"
[ -n "$UV_DEFAULT_INDEX" ] || unset UV_DEFAULT_INDEX

# Certificates come from the system, as for pip: behind a proxy of its own uv would otherwise trust nobody.
export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"

# gym-pusht asks for opencv-python, which installs the same folder `cv2` as LeRobot's opencv-python-headless and cannot
# be imported without the system's libGL. uv leaves it out; pip cannot, so the headless one is put back on top.
without_display="opencv-python; python_version < '3'"

with_uv() {
  local uv
  if ! uv=$(command -v uv); then
    uv="$venv/bin/uv"
    [ -x "$uv" ] || "$venv/bin/python" -m pip install --quiet -c constraints.txt uv || return 1
  fi
  # Bytecode is compiled now, or every later start of Python would pay for torch and LeRobot again.
  "$uv" pip install --python "$venv/bin/python" --compile-bytecode \
    -c constraints.txt --build-constraints constraints.txt --overrides <(echo "$without_display") -e ".[$extras]"
}

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
