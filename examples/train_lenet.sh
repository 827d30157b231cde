#!/bin/sh
# Train the LeNet-5 that ships, with toolkit on the PATH:
#   examples/train_lenet.sh MNIST FASHION_MNIST OUTPUT
# MNIST and FASHION_MNIST are folders with the four IDX files of each, OUTPUT is the file to write. About an hour on a core.
# The same machine's CPU gives the same weights each time, bit for bit; another one, or another version of the camera's reader,
# which cuts the digits out of drawn scenes, gives weights that are about as good: those that ship come from the reader before.
# What it makes of their answers is fitted afterwards: python -m toolkit.training.evidence BUNDLE MNIST
set -eu
if [ $# -ne 3 ]; then
    sed -n '3s/^# *//p' "$0" >&2
    exit 2
fi
export OMP_NUM_THREADS=1  # two threads gain little for so small a model, and lose much on a busy machine
exec toolkit train lenet --data "$1" --outlier-data "$2" --outliers 0.2 --outlier-share 0.4 --shapes 4000 --scenes 4000 \
    --refuse 0.003 --keep last --optimizer sgd --learning-rate 0.1 --weight-decay 1e-4 --epochs 70 --ema 0.999 \
    --shift 0.06 --rotate 12 --scale 0.12 --shear 12 --elastic 0.7 --stroke 0.2 --seed 0 -o "$3"
