#!/bin/sh
# Runs all parts on a CUDA device: bench/cuda/run.sh [OPTIONS OF python -m bench cuda]
# python3 must have torch, transformers and accelerate. bundle.sh fetches the other packages.
set -eu
cd "$(dirname "$0")/../.."
packages=$(mktemp -d)
trap 'rm -rf "$packages"' EXIT
python3 -m pip install --quiet --no-index --no-deps --no-compile --target "$packages" bench/cuda/wheels/*.whl
export PYTHONPATH="$packages:src:." HF_HUB_OFFLINE=1
python3 -m bench cuda "$@"
