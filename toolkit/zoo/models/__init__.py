"""One file for each family of models: its `MODELS`, a tuple of `ZooModel`, is all that `toolkit.zoo` looks for."""
