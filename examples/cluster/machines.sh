#!/bin/bash
# Pretraining on machines without a scheduler: run this on each of them, with the
# machine's number, from 0.
#
#   machines.sh 0      # on node0
#   machines.sh 1      # on node1
#
# The data lies at the same path on all, the binary and the torch engine (avjepa
# engine build) too. Process 0 alone, on machine 0, writes runs/.
set -euo pipefail

node=${1:?the number of this machine, from 0}
machines=${MACHINES:-2}
gpus=${GPUS:-8}
master=${MASTER:-node0:29500}

resume=()
if [ "$node" = 0 ] && [ -d runs/vggsound/checkpoints ]; then
	resume=(--resume)
fi

exec avjepa launch --procs "$gpus" --nodes "$machines" --node-rank "$node" --master "$master" -- \
	pretrain --preset paper --data /data/vggsound --name vggsound \
	--batch-size 400 --epochs 50 \
	--engine torch --device cuda --precision bf16 "${resume[@]}"
