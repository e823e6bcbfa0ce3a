"""A page on this machine that compares two pictures (extra ``demo``)."""
