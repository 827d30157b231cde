"""What a training makes small. Each is a sum over images, which processes add up before they divide."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Against labels (N,), a share `smoothing` of each spread over all classes; logits (N, classes)."""
    return functional.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="sum")


def distillation(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence from a teacher's softened answers, times the temperature's square.

    The square keeps its gradients as large as those of the cross entropy: Hinton, Vinyals and Dean, "Distilling the
    knowledge in a neural network", 2015.

    Args:
        logits: (N, classes).
        teacher: the teacher's, for the same images.
        temperature: both are divided by it.
    """
    student, target = ((each / temperature).log_softmax(1) for each in (logits, teacher))
    return temperature**2 * functional.kl_div(student, target, reduction="sum", log_target=True)


def uniform(logits: Tensor) -> Tensor:
    """Cross entropy against the uniform distribution, for images of no class; logits (N, classes).

    Source: Hendrycks, Mazeika and Dietterich, "Deep anomaly detection with outlier exposure", 2019.
    """
    return (logits.logsumexp(1) - logits.mean(1)).sum()
