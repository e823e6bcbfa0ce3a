"""Training: one typed recipe = one model. :mod:`evenface.train.loop` needs the extra ``train``."""
