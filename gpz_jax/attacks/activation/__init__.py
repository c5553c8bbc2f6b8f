"""Attacks on an activation: decoders for it, and searches for the image behind it."""
