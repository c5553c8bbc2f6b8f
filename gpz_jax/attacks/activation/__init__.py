"""Attacks on an activation: decoders for it, and searches for the image behind it."""

from gpz_jax.attacks.activation.protocol import Attack, Outcome, Scenario

__all__ = ['Attack', 'Outcome', 'Scenario']
