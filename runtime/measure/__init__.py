"""Measuring engines: what they take of time, memory and energy, and how right they are."""
