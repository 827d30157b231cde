"""From a frame to digits: lighting, finding, MNIST's own normalisation, one batch through the model."""
