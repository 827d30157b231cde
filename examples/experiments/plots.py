"""Plots of a study, and its figures as JSON beside them."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # told apart by the colour-blind
