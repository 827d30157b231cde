#!/bin/sh
# Train the LeNet-5 that ships, and the teacher that it learns from:
#   examples/train_lenet.sh MNIST FASHION_MNIST FOLDER
# MNIST and FASHION_MNIST are folders with the four IDX files of each; FOLDER gets the weights. About an hour on a core.
# The same weights, bit for bit, come out on the same machine's CPU alone; elsewhere they are about as good.
set -eu
if [ $# -ne 3 ]; then
    sed -n '3s/^# *//p' "$0" >&2
    exit 2
fi
mkdir -p "$3"
export OMP_NUM_THREADS=1  # two threads gain little for so small a model, and lose much on a busy machine

train() {
    toolkit train lenet --data "$mnist" --outlier-data "$fashion" --outliers 0.5 --shapes 4000 --refuse 0.003 \
        --ema 0.999 --shift 0.07 --rotate 12 --scale 0.15 --shear 12 --stroke 0.3 --seed 0 "$@"
}

mnist=$1 fashion=$2
train --set width=3 --set activation=relu --set normalization=batch --set dropout=0.3 --elastic 1.0 --epochs 20 \
    --learning-rate 3e-3 -o "$3/teacher.safetensors"
train --elastic 0.8 --epochs 80 --teacher "$3/teacher.safetensors" --teacher-weight 0.7 --temperature 2 \
    -o "$3/lenet.safetensors"
