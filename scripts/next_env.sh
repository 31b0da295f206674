#!/usr/bin/env bash
# Makes an environment in which another LeRobot stands before the installed one: next_env.sh FOLDER BASE SOURCE, run in
# the repository's root. It shares all packages of the environment BASE and holds LeRobot from the folder SOURCE beside
# this plugin. Nothing is downloaded, and neither BASE nor SOURCE is changed. Safe to repeat.
set -euo pipefail

venv=$1
base=$2
source=$3

if [ ! -f "$source/pyproject.toml" ] || [ ! -d "$source/src/lerobot" ]; then
  echo "LEROBOT_SRC='$source' is not a checkout of LeRobot: it has no pyproject.toml or no src/lerobot." >&2
  exit 2
fi

packages() { "$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }

"$base/bin/python" -m venv --clear --without-pip "$venv"
# addsitedir reads the .pth files of the other environment too, where a bare path would not.
echo "import site; site.addsitedir('$(packages "$base")')" > "$(packages "$venv")/base.pth"

# setuptools builds in the folder that it is given, so it is given a copy.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
tar -C "$source" --exclude=./.git --exclude=./docs --exclude=./media --exclude=./tests -cf - . | tar -C "$copy" -xf -

install() {
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation \
    --ignore-installed --no-warn-script-location "$@"
}
install "$copy"
install -e .
# Tests look for the console scripts beside the interpreter.
for script in accelerate hf torchrun; do
  if [ -x "$base/bin/$script" ] && [ ! -e "$venv/bin/$script" ]; then
    printf '#!/bin/sh\nexec "%s/bin/python" "%s/bin/%s" "$@"\n' "$(realpath "$venv")" "$(realpath "$base")" "$script" \
      > "$venv/bin/$script"
    chmod +x "$venv/bin/$script"
  fi
done
"$venv/bin/python" -P -c 'import lerobot; from importlib.metadata import version; print("lerobot", version("lerobot"), "from", lerobot.__path__[0])'
