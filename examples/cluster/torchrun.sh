#!/bin/bash
# The same through torchrun, which comes with PyTorch: on each machine, torchrun's own
# way of meeting. --no-python because avjepa is no script. Do not let torchrun start
# processes again (--max-restarts): a run goes on with --resume.
set -euo pipefail

exec torchrun --nnodes "${MACHINES:-1}" --nproc-per-node "${GPUS:-8}" --max-restarts 0 \
	--rdzv-backend c10d --rdzv-endpoint "${MASTER:-localhost:29500}" --no-python \
	avjepa pretrain --preset paper --data /data/vggsound --name vggsound \
	--batch-size 400 --epochs 50 \
	--engine torch --device cuda --precision bf16 "$@"
