"""Windows of the pools that overlap, or not."""

from comparison import compare

VARIANTS = {
    "2x2, no overlap": {"overlapping_pooling": False},
    "3x3, overlapping": {"overlapping_pooling": True},
}

if __name__ == "__main__":
    compare("pooling", VARIANTS)()
