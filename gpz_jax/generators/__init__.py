"""Generators: the attacker's priors over images.

Generator              what a generator is, for one of the user's own
StyleGAN2              published face priors, whose weights `stylegan2_weights` reads
"""

from gpz_jax.generators.protocol import Generator
from gpz_jax.generators.stylegan2 import StyleGAN2

__all__ = ['Generator', 'StyleGAN2']
