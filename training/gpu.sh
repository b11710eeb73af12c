#!/usr/bin/env bash
# Trains the denoiser where a CUDA GPU is to be had for some minutes at a time. One call makes the scenes (once),
# trains for LIMIT_S at most and leaves in OUT what the next call, or the export on another machine, starts from:
# parts of 15 MiB, the log and a contact sheet. Called again it goes on, on the same machine from RUN, on a new one from
# START. MINUTES is the training time in all, over which the learning rate falls.
#
#   OUT=out MINUTES=24 training/gpu.sh                     the first call
#   START=parts OUT=out MINUTES=8 training/gpu.sh          further, from parts, from a run or from exported weights
#
# Needs python3 with torch, transformers, tokenizers, pillow and resvg-py, and the art in training/.cache (assets.py
# fetches it); neither OpenVINO nor a network. Then, with the parts where the rest of the recipe runs:
#   python -m training.decoder --denoiser PARTS ...; python -m training.export --run PARTS ...
set -euo pipefail
cd "$(dirname "$0")/.."
export PYTHONPATH=src:. PYTHONUNBUFFERED=1
RUN=${RUN:-training/runs/gpu} OUT=${OUT:-training/runs/gpu/out} START=${START:-}
SCENES=${SCENES:-150000} SEED=${SEED:-101} MINUTES=${MINUTES:-8} LIMIT_S=${LIMIT_S:-540}
ARGS=${ARGS:---width 384 --depth 10 --batch 512 --lr 1.5e-3 --routed 0 --ema 0.999}
PYTHON=${PYTHON:-python3}
began=$SECONDS
DATA=$RUN/data
if [ ! -d "$DATA" ]; then
  $PYTHON -m training.make_dataset --out "$DATA.part" --num "$SCENES" --seed "$SEED" --workers "$(nproc)" \
    ${SCENES_ARGS:-}
  mv "$DATA.part" "$DATA"
fi
mkdir -p "$OUT"
# shellcheck disable=SC2086
timeout --signal TERM --kill-after 60 $((LIMIT_S - SECONDS + began)) \
  $PYTHON -m training.train --data "$DATA" --run "$RUN" --parts "$OUT" --minutes "$MINUTES" \
  ${START:+--start "$START"} $ARGS || [ $? = 124 ] # stopped for time, with all saved
$PYTHON -m training.preview --run "$RUN" --prompts training/prompts.txt --out "$OUT/preview.png" ${PREVIEW_ARGS:-}
tail -n 400 "$RUN/log.jsonl" > "$OUT/log.jsonl"
