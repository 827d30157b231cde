"""The FP32 graph and images to thresholds, and to a graph with Q/DQ. Knows nothing of the command line."""
