"""No normalisation, local response normalisation and batch normalisation, before the pool or after it."""

from comparison import compare

VARIANTS = {
    "none": {"normalization": "none"},
    "LRN before the pool": {"normalization": "lrn", "normalization_place": "before"},
    "LRN after the pool": {"normalization": "lrn", "normalization_place": "after"},
    "batch norm before": {"normalization": "batch", "normalization_place": "before"},
    "batch norm after": {"normalization": "batch", "normalization_place": "after"},
}

if __name__ == "__main__":
    compare("normalization", VARIANTS)()
