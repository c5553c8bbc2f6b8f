"""Attacks on a model: searches for what a training class looks like."""

from gpz_jax.attacks.model.protocol import Attack, Outcome, Scenario

__all__ = ['Attack', 'Outcome', 'Scenario']
