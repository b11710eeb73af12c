#!/usr/bin/env bash
# Trains the denoiser where a CUDA GPU is to be had for some minutes at a time. One call makes the scenes (once),
# encodes their captions, trains for LIMIT_S at most and leaves in OUT what the next call, or the export on another
# machine, starts from: parts of 15 MiB and the log. Called again it goes on, on the same machine from RUN, on a new
# one from START. MINUTES is the training time in all, over which the learning rate falls.
#
#   OUT=out MINUTES=6 training/gpu.sh                      the first call
#   START=1 OUT=out MINUTES=6 training/gpu.sh              the first call, from the shipped weights
#   START=parts OUT=out MINUTES=8 training/gpu.sh          further, from parts or from a run
#
# Needs python3 with torch, transformers, tokenizers, pillow, numpy and thorvg-python; neither OpenVINO nor a network.
# Then, with the parts where the rest of the recipe runs: python -m training.export --run PARTS ...
set -euo pipefail
cd "$(dirname "$0")/.."
export PYTHONPATH=src:. PYTHONUNBUFFERED=1
RUN=${RUN:-training/runs/gpu} OUT=${OUT:-training/runs/gpu/out} START=${START:-}
SCENES=${SCENES:-400000} SEED=${SEED:-101} MINUTES=${MINUTES:-6} LIMIT_S=${LIMIT_S:-540}
ARGS=${ARGS:---width 320 --depth 6 --batch 1024 --splits 1 --copies 4 --ema 0.999 --compile}
PYTHON=${PYTHON:-python3}
began=$SECONDS
mkdir -p "$RUN" "$OUT"
if [ ! -d "$RUN/data" ]; then
  $PYTHON -m training.make_dataset --out "$RUN/data.part" --num "$SCENES" --seed "$SEED" --workers "$(nproc)"
  mv "$RUN/data.part" "$RUN/data"
fi
if [ "$START" = 1 ]; then
  START=$RUN/start
  [ -f "$START/part-0" ] || $PYTHON -m training.restore --out "$START"
fi
# shellcheck disable=SC2086
timeout --signal TERM --kill-after 60 $((LIMIT_S - SECONDS + began)) \
  $PYTHON -m training.train --data "$RUN/data" --run "$RUN" --parts "$OUT" --minutes "$MINUTES" \
  ${START:+--start "$START"} $ARGS || [ $? = 124 ] # stopped for time, with all saved
tail -n 400 "$RUN/log.jsonl" > "$OUT/log.jsonl"
