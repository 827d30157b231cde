"""`toolkit train`: a model of the zoo from labelled images, in plain PyTorch.

    trainer.py      the whole of a training, from top to bottom
    data.py         IDX files and folders of pictures, as batches of uint8
    crop.py         random crops of photos, while they are read
    augment.py      random variation of a batch
    learner.py      model, optimizer, schedule, average and precision: all that a step changes
    loop.py         one epoch, and the accuracy after it
    losses.py       cross entropy, distillation, outlier exposure
    checkpoint.py   what a training is continued from
    distributed.py  several processes, started by torchrun
    events.py       TensorBoard's files
    outliers.py     shapes that are no digit, with drawing.py
    rejection.py    images of no class, and the threshold that refuses them
    result.py       what the command prints with --json

There is no trainer library below. Every piece is a documented part of PyTorch: AveragedModel, lr_scheduler, autocast,
GradScaler, DistributedDataParallel, torchrun, SummaryWriter. A library would add tens of megabytes, and hide what makes
a resumed training equal to an unbroken one: each epoch draws its order, augmentation and dropout from a seed of its
own, so that no state of a random generator has to be kept.
"""

from toolkit.training.trainer import TrainResult, train

__all__ = ["TrainResult", "train"]
