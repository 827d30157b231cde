"""All that a step of training changes: weights, their average, optimizer, schedule, loss scale. And how it computes."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from runtime.cpu import cpu_features
from runtime.spec import ModelSpec
from toolkit.recipe import Recipe
from toolkit.training.distributed import World

BFLOAT16_FEATURES = frozenset({"avx512_bf16", "amx_bf16", "bf16"})  # Linux's words for x86 and ARM; others emulate it
Tensors: TypeAlias = tuple[Tensor, ...] | list[Tensor]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Computing:
    """How a device computes a model.

    Attributes:
        device: that one.
        dtype: of activations.
        memory_format: of images and weights.
        mean, std: of the model's preprocessing, (C, 1, 1).
    """

    device: torch.device
    dtype: torch.dtype
    memory_format: torch.memory_format
    mean: Tensor
    std: Tensor

    def __str__(self) -> str:
        order = ", channels last" if self.memory_format == torch.channels_last else ""
        return f"{self.device}, {str(self.dtype).removeprefix('torch.')}{order}"

    def autocast(self) -> AbstractContextManager[object]:
        """Where the model runs."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def to_unit(self, images: Tensor) -> Tensor:
        """From uint8 to float32 in 0..1, on the device."""
        return images.to(self.device, non_blocking=True).float() / 255

    def normalize(self, images: Tensor) -> Tensor:
        """From 0..1 to what the model takes."""
        return ((images - self.mean) / self.std).contiguous(memory_format=self.memory_format)


def choose_computing(module: nn.Module, spec: ModelSpec, precision: str, device: torch.device) -> Computing:
    """Precision and layout for a device; `precision` is as in `Recipe`."""
    if precision != "auto":
        dtype = DTYPES[precision]
    elif device.type == "cuda":
        dtype = torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    else:
        dtype = torch.bfloat16 if BFLOAT16_FEATURES & cpu_features() else torch.float32
    convolves = any(isinstance(part, nn.Conv2d) for part in module.modules())
    mean, std = (
        torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1)
        for values in (spec.preprocess.mean, spec.preprocess.std)
    )
    return Computing(device, dtype, torch.channels_last if convolves else torch.contiguous_format, mean, std)


class Learner:
    """A model in training.

    Attributes:
        computing: how.
        module: the model itself.
        parallel: what a batch goes through: the module, or DistributedDataParallel round it.
        average: the moving average of its weights; None without.
        optimizer, schedule, scaler: as PyTorch names them; the schedule goes on with every step.

    Args:
        module: untrained.
        spec: its spec.
        recipe: of the training.
        steps: of an epoch.
        world: the processes.
    """

    def __init__(self, module: nn.Module, spec: ModelSpec, recipe: Recipe, steps: int, world: World) -> None:
        self.computing = computing = choose_computing(module, spec, recipe.precision, world.device)
        if world.size > 1 and computing.device.type == "cuda":
            module = nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]
        self.module = module.to(computing.device, memory_format=computing.memory_format)  # type: ignore[call-overload]
        self.average: AveragedModel | None = None
        if recipe.ema:
            # Buffers too: a batch norm's statistics belong to the weights that made them.
            self.average = AveragedModel(self.module, multi_avg_fn=moving_average(recipe.ema), use_buffers=True)
        self.parallel = self.module
        if world.size > 1:
            ids = [computing.device.index] if computing.device.type == "cuda" else None
            self.parallel = DistributedDataParallel(self.module, device_ids=ids)
        self.optimizer = make_optimizer(self.module, recipe)
        self.schedule = make_schedule(self.optimizer, recipe, steps)
        self.scaler = torch.amp.GradScaler(computing.device.type, enabled=computing.dtype == torch.float16)

    @property
    def judged(self) -> nn.Module:
        """What is evaluated and kept: the average where there is one."""
        judged: nn.Module = self.module if self.average is None else self.average.module
        return judged

    def weights(self) -> dict[str, Tensor]:
        """A copy of what is judged, on the CPU."""
        return {key: value.to("cpu", copy=True) for key, value in self.judged.state_dict().items()}

    def step(self, loss: Tensor) -> None:
        """Go down the gradient of a loss once."""
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        if self.average is not None:
            self.average.update_parameters(self.module)

    def state(self) -> dict[str, Any]:
        """All of it, for a checkpoint."""
        return {
            "module": self.module.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up what `state` gave."""
        self.module.load_state_dict(state["module"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.scaler.load_state_dict(state["scaler"])


def moving_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """An exponential moving average whose decay rises to `decay`: the weights of the first steps soon count nothing."""

    def update(averages: Tensors, weights: Tensors, steps: Tensor | int) -> None:
        count = int(steps)
        step = get_ema_multi_avg_fn(min(decay, (1 + count) / (10 + count)))  # type: ignore[no-untyped-call]
        step(averages, weights, steps)

    return update


def make_optimizer(module: nn.Module, recipe: Recipe) -> Optimizer:
    """As the recipe says."""
    parameters = list(module.parameters())
    if recipe.optimizer == "adamw":
        return AdamW(parameters, recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True)
    return SGD(parameters, recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay, fused=True)


def make_schedule(optimizer: Optimizer, recipe: Recipe, steps: int) -> LRScheduler:
    """As the recipe says, for epochs of `steps` steps."""
    total, warmup = recipe.epochs * steps, recipe.warmup * steps
    if recipe.schedule == "one-cycle":
        return OneCycleLR(
            optimizer, recipe.learning_rate, total_steps=total, cycle_momentum=recipe.optimizer == "adamw"
        )

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if recipe.schedule == "constant":
            return 1.0
        return (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup))) / 2

    return LambdaLR(optimizer, factor)
