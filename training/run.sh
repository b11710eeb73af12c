#!/usr/bin/env bash
# The bundled model, from nothing or from the shipped weights to the weights that the server loads.
# Resumable: run it again and it goes on where it stopped; each stage is skipped once its result is there.
#
#   training/run.sh                  about 90 minutes on 2 idle cores; MINUTES of it are the training
#   START=1 training/run.sh          from the shipped weights, whose fields may be fewer than today's
#   MINUTES=120 training/run.sh      train longer (or go on for longer with an earlier run)
#   SMOKE=1 training/run.sh          every stage in about three minutes, to see that all of it works
#
# Needs Python 3.11, npm (for the vector art) and a package registry; makes its own environment.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -n "${SMOKE:-}" ]; then
  RUN=${RUN:-training/runs/smoke} OUT=${OUT:-$RUN/weights}
  SCENES=3000 MINUTES=0.4 EXTRA="--width 128 --depth 2 --batch 64" EVALUATE="--every 40 --seeds 1"
else
  RUN=${RUN:-training/runs/flat-5} OUT=${OUT:-src/daguerre/models/embedded/weights}
  SCENES=${SCENES:-200000} MINUTES=${MINUTES:-50} EVALUATE=${EVALUATE:---every 3 --seeds 1}
  # A lower learning rate keeps what the shipped weights know.
  EXTRA=${EXTRA-${START:+--lr 1.2e-3 --cooldown 0.7}}
fi
PYTHON=${PYTHON:-python3}
VENV=training/.venv

# 1) Tools. torch is pinned to the release that was used.
[ -x $VENV/bin/python ] || "$PYTHON" -m venv $VENV
$VENV/bin/python -m pip install --quiet --constraint constraints.txt --editable . \
  --requirement training/requirements.txt
py() { $VENV/bin/python -m "$@"; }

# 2) The art and the letters that scenes are drawn with, packed from the pinned packages: the same bytes each time.
py training.art
py training.font

# 3) Scenes and captions. Every scene depends on its seed and number alone.
[ -d "$RUN/data" ] || { py training.make_dataset --out "$RUN/data.part" --num "$SCENES" --seed 1 &&
  mv "$RUN/data.part" "$RUN/data"; }

# 4) The text encoder, converted; captions go through the code that serves.
mkdir -p "$RUN/weights"
[ -f "$RUN/weights/text_encoder.xml" ] || py training.text_encoder "$RUN/weights"

# 5) The denoiser, where START is set from the shipped weights, or from the parts in the folder that it names.
if [ "${START:-}" = 1 ]; then
  START=$RUN/start
  [ -f "$START/part-0" ] || py training.restore --out "$START"
fi
# shellcheck disable=SC2086
py training.train --data "$RUN/data" --run "$RUN" --weights "$RUN/weights" --minutes "$MINUTES" \
  ${START:+--start "$START"} $EXTRA

# 6) What the server loads, and a look at it.
py training.export --run "$RUN" --data "$RUN/data" --out "$RUN/weights" --created "$(date +%s)"
mkdir -p "$OUT"
[ "$OUT" -ef "$RUN/weights" ] || cp "$RUN"/weights/* "$OUT"/
py training.sheet --weights "$OUT" --prompts training/prompts.txt --columns 8 --side 200 --out "$RUN/sheet.png"

# 7) Figures, and a model card with them.
# shellcheck disable=SC2086
py training.evaluate --weights "$OUT" --out "$RUN/figures.json" $EVALUATE
cp docs/model-card.md "$RUN/model-card.md"
py training.report --weights "$OUT" --figures "$RUN/figures.json" --card "$RUN/model-card.md"
echo "weights in $OUT; a sheet of prompts, figures and a model card in $RUN"
