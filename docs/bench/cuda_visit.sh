#!/usr/bin/env bash
# Everything that only a card can show, in one go and with nothing to build: tests, a training step and an
# epoch beside PyTorch, a run on the card that goes on and is evaluated on the processor.
#
#   docs/bench/cuda_visit.sh FOLDER [RESULTS]
#
# FOLDER holds what `cargo xtask cuda-check --build` made elsewhere: `cxr` and the test programs. RESULTS
# (default: FOLDER/results) receives the logs and steps.json. Needs python3 with torch, torchvision, pandas
# and scikit-learn; their wheels bring the libraries that the programs load. Where a call may only last some
# minutes, PARTS picks some of: first (a step of ResNet18 at full size in each precision, with the
# convolutions that were chosen), tests, steps (QUICK=1: bf16 alone), epoch, run. A part that fails is told
# at the end; the others go on. RESULTS ends with logs.tgz, everything but pictures and weights.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$(cd "$1" && pwd)
results=${2:-$folder/results}
parts=${PARTS:-first tests steps epoch run}
mkdir -p "$results"
libraries=$(python3 -c 'import glob, nvidia
print(":".join(folder for root in nvidia.__path__ for folder in glob.glob(root + "/*/lib")))')
export LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
failed=()

# part NAME SECONDS COMMAND…: its output to RESULTS/NAME.log and here, its end told.
part() {
  local name=$1 seconds=$2 started=$SECONDS
  shift 2
  echo "── $name"
  if timeout "$seconds" "$@" 2>&1 | tee "$results/$name.log"; then
    echo "── $name: $((SECONDS - started)) s"
  else
    echo "── $name: failed after $((SECONDS - started)) s"
    failed+=("$name")
  fi
}

nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.mem --format=csv | tee "$results/card.csv"
ldd "$folder/cxr" | grep "not found"
"$folder/cxr" doctor

if [[ " $parts " == *" first "* ]]; then
  for precision in bf16 tf32 f32; do
    part "first-$precision" 60 "$folder/cxr" bench step --model resnet18 --batch 64 --steps 20 --warmup 5 \
      --device cuda --precision "$precision" --json
  done
fi

if [[ " $parts " == *" tests "* ]]; then
  for program in "$folder"/*-cuda "$folder"/*-card "$folder"/*-cuda_steps; do
    # One test at a time: two that fill the card would refuse each other.
    part "tests-$(basename "$program")" 240 "$program" --test-threads 1 --nocapture
  done
fi
if [[ " $parts " == *" steps "* ]]; then
  part steps 570 python3 "$here/cuda_beside_torch.py" --program "$folder/cxr" --steps 30 --rounds "${ROUNDS:-1}" \
    ${QUICK:+--quick} --out "$results/steps.json"
fi
cohort=$results/phantom
if [[ " $parts " == *" epoch "* || " $parts " == *" run "* ]]; then
  [[ -d $cohort ]] || part phantom 180 "$folder/cxr" phantom --out "$cohort" --rows 4096 1024 256 --size 320
fi
if [[ " $parts " == *" epoch "* ]]; then
  part epoch 420 python3 "$here/cuda_epoch_beside_torch.py" --program "$folder/cxr" --train "$cohort/train.csv" \
    --valid "$cohort/valid.csv" --images "$cohort/images" --workers "$(nproc)"
fi
if [[ " $parts " == *" run "* ]]; then
  run=$results/run
  rm -rf "$run"
  part train 300 "$folder/cxr" train --train "$cohort/train.csv" --valid "$cohort/valid.csv" --test "$cohort/test.csv" \
    --images "$cohort/images" --set data.leakage=repair --set epochs=3 --set cuda.precision=bf16 --device cuda --run "$run"
  for device in cuda cpu; do
    part "evaluate-$device" 180 "$folder/cxr" evaluate --checkpoint "$run/weights/best.safetensors" \
      --table "$cohort/test.csv" --images "$cohort/images" --device "$device"
  done
fi
tar czf "$results/logs.tgz" -C "$results" --exclude phantom --exclude run --exclude logs.tgz .
if ((${#failed[@]})); then
  echo "failed: ${failed[*]}"
  exit 1
fi
