"""A checkpoint becomes a model that runs without PyTorch, in 32 bit and in 8."""
