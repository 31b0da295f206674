#!/usr/bin/env bash
# Installs a wheel alone into an empty environment and goes through the story of a user with it, far from the checkout:
#     try_wheel.sh [WHEEL]        run in the repository's root; the default is the one wheel in dist/
# KEEP=1 leaves the folder with the environment (6.5 GB). Nothing outside that folder is read or written, but for the
# cache of the installer. Needs the package index to install, and no network after that.
set -euo pipefail

wheel=$(realpath -e "${1:-$(ls dist/*.whl)}")
constraints=$(realpath -e constraints.txt)
tour=$(realpath -e docs/notebooks/maze-tour.ipynb)
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
source "$here/installer.sh"

unset PYTHONPATH PYTHONHOME
folder=$(mktemp -d "${TMPDIR:-/tmp}/try-wheel.XXXXXX")
if [ -n "${KEEP:-}" ]; then
  echo "everything goes into $folder, which stays"
else
  trap 'rm -rf "$folder"' EXIT
fi
# A copy, so that dist/ may be built anew meanwhile.
cp "$wheel" "$folder"
wheel=$folder/$(basename "$wheel")
export HF_HOME="$folder/hf" HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false MPLBACKEND=Agg
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

began=$SECONDS
# Runs a command and says what it took; its output is shown where it fails.
step() {
  local name=$1 start=$SECONDS
  shift
  if ! "$@" >"$folder/log" 2>&1; then
    cat "$folder/log"
    echo "FAILED: $name" >&2
    exit 1
  fi
  printf '%5d s  %s\n' "$((SECONDS - start))" "$name"
}
# The output of the last step holds a line with these words.
says() {
  if ! grep -qF -- "$1" "$folder/log"; then
    cat "$folder/log"
    echo "FAILED: '$1' is not in that output" >&2
    exit 1
  fi
}

venv=$folder/venv
python=$venv/bin/python
step "an empty environment" "$("$here/find_python.sh")" -m venv "$venv"
hand_over_index "$venv"
if uv=$(uv_of "$venv"); then
  install() { "$uv" pip install --python "$python" -c "$constraints" --overrides <(echo "$without_display") "$@"; }
else
  install() { "$python" -m pip install -c "$constraints" "$@"; }
fi
extra() { install "${@:2}" "lerobot_policy_ambient_diffusion[$1] @ file://$wheel"; }

step "install $(basename "$wheel")" install "$wheel"
version=$(basename "$wheel" | cut -d- -f2)

mkdir "$folder/work"
cd "$folder/work"
export PATH="$venv/bin:$PATH"

step "lerobot-ambient --version" lerobot-ambient --version
says "lerobot-ambient $version"
step "lerobot_ambient.__version__, from the wheel" python -c "
import lerobot_ambient as la
assert la.__file__.startswith('$venv/'), la.__file__
print('version', la.__version__)"
says "version $version"

verbs=$(python -c "
from lerobot_ambient.cli.__main__ import LABORATORY, VERBS
print(*(verb.replace('_', '-') for verb in (*VERBS, *LABORATORY)))")
help_of_all() {
  local verb
  for verb in $verbs; do
    lerobot-ambient "$verb" --help
  done
}
step "--help of $(wc -w <<<"$verbs") verbs" help_of_all
step "catalogue" lerobot-ambient catalogue
says "droid/100"
step "doctor" lerobot-ambient doctor
step "make-data" lerobot-ambient make-data sorting --logic opposite --root data --target-episodes 4 --source-episodes 6
step "init" lerobot-ambient init --small --target me/target=data/target --source me/source=data/source --write mine.yaml
step "annotate --method=spectral" lerobot-ambient annotate --config_path=mine.yaml --method=spectral \
  --write-config=mine.yaml
step "doctor --config_path" lerobot-ambient doctor --config_path=mine.yaml
says "no problems"
step "inspect" lerobot-ambient inspect --config_path=mine.yaml
says "me/source"
step "lerobot-train --policy.type=ambient_diffusion, 20 steps" lerobot-train --policy.type=ambient_diffusion \
  --policy.push_to_hub=false --policy.device=cpu --policy.denoiser=mlp \
  --dataset.repo_id=me/target --dataset.root=data/target \
  --policy.sources='[{"repo_id": "me/source", "root": "data/source", "sigma_max": 0.46}]' \
  --steps=20 --log_freq=10 --save_freq=20 --batch_size=8 --num_workers=0 --output_dir=trained
says "End of training"
step "lerobot-train --resume=true, 5 steps more" lerobot-train --resume=true --steps=25 --log_freq=5 \
  --config_path=trained/checkpoints/last/pretrained_model/train_config.json
says "End of training"
step "lerobot-eval, one rollout" lerobot-eval --policy.path=trained/checkpoints/last/pretrained_model \
  --policy.device=cpu --policy.noise_scheduler_type=DDIM --policy.num_inference_steps=5 --env.type=ambient_sorting \
  --eval.n_episodes=1 --eval.batch_size=1 --eval.use_async_envs=false
says "pc_success"

step "view --output-dir" lerobot-ambient view --config_path=mine.yaml --output-dir page

# What an extra brings is looked up without installing it, except the one whose page is a file of the wheel.
for name in $(python -c "
from importlib.metadata import metadata
print(*metadata('lerobot_policy_ambient_diffusion').get_all('Provides-Extra'))"); do
  step "the extra $name can be resolved" extra "$name" --dry-run
done
step "install the extra annotate" extra annotate
step "annotate --report" lerobot-ambient annotate --config_path=mine.yaml --method=classifier --steps=20 --folds=2 \
  --report=report
test -s report/report.html || { ls report; echo "FAILED: no page in report/" >&2; exit 1; }

step "install the extras maze and annotate, and a kernel" extra maze,annotate nbclient ipykernel
cp "$tour" .
step "the tour of the maze, cell by cell" jupyter execute "$(basename "$tour")"

echo "$(basename "$wheel") works alone; $((SECONDS - began)) s"
