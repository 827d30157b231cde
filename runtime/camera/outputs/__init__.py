"""Where results go: a window, JSON lines, a recording."""
