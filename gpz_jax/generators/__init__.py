"""Generators: the attacker's priors over images.

Generator              what a generator is, for one of the user's own
"""

from gpz_jax.generators.protocol import Generator

__all__ = ['Generator']
