"""Where frames come from: a file for each kind of source, and what supervises those that can hang."""
