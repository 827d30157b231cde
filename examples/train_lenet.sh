#!/bin/sh
# Train a LeNet-5 as the one that ships was, with toolkit on the PATH:
#   examples/train_lenet.sh MNIST FASHION_MNIST OUTPUT
# MNIST and FASHION_MNIST are folders with the four IDX files of each, OUTPUT is the file to write, OUTPUT.teacher that of a
# network three times as wide, which is trained first and then followed. An hour and a half on a core.
# The same machine's CPU gives the same weights each time, bit for bit; another one, or another version of the camera's reader,
# which cuts the digits out of drawn scenes, gives weights that are about as good.
# What it makes of their answers is fitted afterwards: python -m toolkit.training.evidence BUNDLE MNIST
set -eu
if [ $# -ne 3 ]; then
    sed -n '3s/^# *//p' "$0" >&2
    exit 2
fi
export OMP_NUM_THREADS=1  # two threads gain little for so small a model, and lose much on a busy machine
train() {
    toolkit train lenet --data "$mnist" --outlier-data "$fashion" --shapes 4000 \
        --refuse 0.003 --keep last --optimizer sgd --learning-rate 0.1 --weight-decay 1e-4 --ema 0.999 \
        --shift 0.06 --rotate 12 --scale 0.12 --shear 12 --elastic 0.7 --stroke 0.2 "$@"
}
mnist=$1 fashion=$2 output=$3
train --outliers 0.2 --outlier-share 0.4 --scenes 8000 --epochs 12 --fade 0.2 --seed 1 \
    --set width=3 --set activation=relu --set normalization=batch -o "$output.teacher"
train --outliers 0.3 --outlier-share 0.6 --scenes 4000 --epochs 60 --fade 0.1 --seed 0 \
    --teacher "$output.teacher" --teacher-weight 0.7 --temperature 1 -o "$output"
