"""Models from elsewhere: what they take and give is told on the command line, or found out from them."""
