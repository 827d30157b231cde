"""Reports: what engines cost and what they keep, measured side by side, for people and for gates."""
