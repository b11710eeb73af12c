#!/usr/bin/env bash
# The embedded model, from nothing to the weights that the server loads. Resumable: run it again and it
# goes on where it stopped; each stage is skipped once its result is there.
#
#   training/run.sh                  two hours and more on 2 cores; MINUTES of it are the training
#   MINUTES=300 training/run.sh      train longer (or go on for longer with an earlier run)
#   SMOKE=1 training/run.sh          every stage in about five minutes, to see that all of it works
#
# Needs Python 3.11, npm (for the vector art) and a package registry; makes its own environment.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -n "${SMOKE:-}" ]; then
  RUN=${RUN:-training/runs/smoke} OUT=${OUT:-$RUN/weights}
  SCENES=160 LARGE=10 COARSE_BATCH=8 BATCH=8 MINUTES=1 DECODER_MINUTES=0.5
  READER_SCENES=400 READER_MINUTES=0.3 EVALUATE="--every 30 --seeds 1 --steps 2"
  EXTRA="--no-compile --width 128 --depth 2"
else
  RUN=${RUN:-training/runs/flat-2} OUT=${OUT:-src/daguerre/models/embedded/weights}
  SCENES=${SCENES:-16000} LARGE=${LARGE:-300} COARSE_BATCH=${COARSE_BATCH:-64} BATCH=${BATCH:-32}
  MINUTES=${MINUTES:-110} DECODER_MINUTES=${DECODER_MINUTES:-6} EXTRA=${EXTRA:-}
  READER_SCENES=${READER_SCENES:-9000} READER_MINUTES=${READER_MINUTES:-4} EVALUATE=${EVALUATE:-}
fi
DATA=$RUN/data
PYTHON=${PYTHON:-python3}
VENV=training/.venv

# 1) Tools. torch is pinned to the release that was used.
[ -x $VENV/bin/python ] || "$PYTHON" -m venv $VENV
$VENV/bin/python -m pip install --quiet --constraint constraints.txt --editable . \
  --requirement training/requirements.txt
py() { $VENV/bin/python -m "$@"; }

# 2) Scenes and captions: the training set at 1/8 size, and some scenes at full size for the decoder.
#    Every scene depends on its seed and number alone.
[ -d "$DATA/small" ] || { py training.make_dataset --out "$DATA/small.part" --num "$SCENES" --seed 21 --iconic &&
  mv "$DATA/small.part" "$DATA/small"; }
[ -d "$DATA/large" ] || { py training.make_dataset --out "$DATA/large.part" --num "$LARGE" --seed 3 --scale 1 &&
  mv "$DATA/large.part" "$DATA/large"; }

# 3) The text encoder, converted; captions go through the code that serves.
mkdir -p "$RUN/weights"
[ -f "$RUN/weights/text_encoder.xml" ] || py training.text_encoder "$RUN/weights"

# 4) The denoiser: half of the time at half the size, where a picture costs a third, then at the size that is
#    served; then the decoder on what the denoiser leaves.
half=$(awk "BEGIN {print $MINUTES / 2}")
# shellcheck disable=SC2086
py training.train --data "$DATA/small" --run "$RUN/coarse" --weights "$RUN/weights" --coarse \
  --minutes "$half" --batch "$COARSE_BATCH" --cooldown 0.3 --time-mean -0.4 $EXTRA
# shellcheck disable=SC2086
py training.train --data "$DATA/small" --run "$RUN" --weights "$RUN/weights" --start "$RUN/coarse" \
  --minutes "$half" --batch "$BATCH" --cooldown 0.5 --routed 1 $EXTRA
py training.decoder --images "$DATA/large" --denoiser "$RUN" --run "$RUN/decoder" \
  --minutes "$DECODER_MINUTES" ${SMOKE:+--no-compile}

# 5) What the server loads, and a look at it.
py training.export --run "$RUN" --decoder "$RUN/decoder" --out "$RUN/weights" --created "$(date +%s)"
mkdir -p "$OUT"
[ "$OUT" -ef "$RUN/weights" ] || cp "$RUN"/weights/* "$OUT"/
py training.sheet --weights "$OUT" --prompts training/prompts.txt --out "$RUN/sheet.png"

# 6) Figures for the model card, read by a classifier that is trained on scenes of its own.
[ -d "$DATA/reader" ] || { py training.make_dataset --out "$DATA/reader.part" --num "$READER_SCENES" --seed 777 --iconic &&
  mv "$DATA/reader.part" "$DATA/reader"; }
[ -f "$RUN/reader/reader.pt" ] || py training.reader --data "$DATA/reader" --run "$RUN/reader" --minutes "$READER_MINUTES"
# shellcheck disable=SC2086
py training.evaluate --weights "$OUT" --reader "$RUN/reader" --images "$DATA/large" --out "$RUN/figures.json" $EVALUATE
echo "weights in $OUT, sheet of prompts in $RUN/sheet.png, figures in $RUN/figures.json"
