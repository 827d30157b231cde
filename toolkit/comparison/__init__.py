"""`toolkit compare`: two models side by side, layer by layer and answer by answer."""
