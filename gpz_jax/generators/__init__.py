"""Generators: the attacker's priors over images.

Generator              what a generator is, for one of the user's own
DCGAN                  the generator of GMI
Critic                 tells public images from generated ones
PriorConfig            the settings of a training of one's own
train_prior            trains a generator on public images
save, load             a generator in one file
"""

from gpz_jax.generators.dcgan import DCGAN
from gpz_jax.generators.discriminators import Critic
from gpz_jax.generators.files import load, save
from gpz_jax.generators.prior_config import PriorConfig
from gpz_jax.generators.protocol import Generator
from gpz_jax.generators.training import train_prior

__all__ = [
  'DCGAN',
  'Critic',
  'Generator',
  'PriorConfig',
  'load',
  'save',
  'train_prior',
]
