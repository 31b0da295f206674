#!/usr/bin/env bash
# Prints the path of a Python that can build this project's environment (3.12 or 3.13, with venv and pip), or says
# what to install and exits 1. A candidate counts only when it runs: version-manager shims can exist and fail.
set -u

probe='
import sys
if not (3, 12) <= sys.version_info[:2] <= (3, 13):
    sys.exit(1)
import ensurepip, venv
print(sys.executable)
'

tried=""
try() {
  local path found
  path=$(command -v "$1" 2>/dev/null) || return 1
  if found=$("$path" -I -c "$probe" 2>/dev/null </dev/null); then
    printf '%s\n' "$found"
    exit 0
  fi
  tried="$tried  $path ($("$path" -I -V 2>/dev/null </dev/null || echo 'does not run'))"$'\n'
  return 1
}

if [ -n "${PYTHON:-}" ]; then
  try "$PYTHON"
  echo "PYTHON=$PYTHON is not a Python 3.12 or 3.13 that runs and has the modules venv and ensurepip." >&2
  exit 1
fi

for name in python3.12 python3.13 python3 python; do
  try "$name"
done

if command -v uv >/dev/null 2>&1; then
  found=$(uv python find --no-python-downloads '>=3.12,<3.14' 2>/dev/null) && try "$found"
fi

roots="$HOME/.pyenv"
if command -v pyenv >/dev/null 2>&1; then
  roots="$(pyenv root 2>/dev/null)
$roots"
fi
while IFS= read -r root; do
  for path in "$root"/versions/3.12*/bin/python "$root"/versions/3.13*/bin/python; do
    [ -x "$path" ] && try "$path"
  done
done <<<"$roots"

cat >&2 <<MESSAGE
No Python 3.12 or 3.13 was found (LeRobot 0.6 needs 3.12 or newer; the pinned versions have wheels up to 3.13).
Install one, for example with
    uv python install 3.12        or
    pyenv install 3.12            or
    apt-get install python3.12 python3.12-venv
or name one: make env PYTHON=/path/to/python3.12
These were tried and did not do:
${tried:-  nothing called python was on the PATH}
MESSAGE
exit 1
