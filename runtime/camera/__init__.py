"""Live digits: sources give frames, a reader finds and reads what is on them, a tracker follows it, outputs show it."""
