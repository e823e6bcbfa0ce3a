"""The study: a grid of training sets × distillation, its state, and its results."""
