# Sourced by scripts that build environments. Sets what uv has to be told, and offers `uv_of FOLDER`.

# uv does not read pip's configuration, so the package index set there is handed over.
hand_over_index() {
  local index
  index=$("$1/bin/python" -m pip config get global.index-url 2>/dev/null || true)
  export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$index}}"
  [ -n "$UV_DEFAULT_INDEX" ] || unset UV_DEFAULT_INDEX
}

# Certificates come from the system, as for pip: behind a proxy of its own uv would otherwise trust nobody.
export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"

# gym-pusht asks for opencv-python, which installs the same folder `cv2` as LeRobot's opencv-python-headless and cannot
# be imported without the system's libGL. uv leaves it out by this line; pip cannot.
without_display="opencv-python; python_version < '3'"

# Prints the path of uv for an environment: the one on the PATH, or the pinned one, installed into the environment.
uv_of() {
  command -v uv && return
  local uv="$1/bin/uv"
  [ -x "$uv" ] || "$1/bin/python" -m pip install --quiet -c constraints.txt uv >&2 || return 1
  printf '%s\n' "$uv"
}
