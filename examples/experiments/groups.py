"""One group or two: the halves of AlexNet that its two GPUs computed."""

from comparison import compare

VARIANTS = {
    "one group": {"groups": 1},
    "two groups": {"groups": 2},
}

if __name__ == "__main__":
    compare("groups", VARIANTS)()
