"""Generators: the attacker's priors over images.

Generator              what a generator is, for one of the user's own
DCGAN                  the generator of GMI
StyleGAN2              published face priors, whose weights `stylegan2_weights` reads
Critic                 tells public images from generated ones
PriorConfig            the settings of a training of one's own
train_prior            trains a generator on public images
save, load             a generator in one file, which load_critic reads too
"""

from gpz_jax.generators.dcgan import DCGAN
from gpz_jax.generators.discriminators import Critic
from gpz_jax.generators.files import load, load_critic, save
from gpz_jax.generators.prior_config import PriorConfig
from gpz_jax.generators.protocol import Generator
from gpz_jax.generators.stylegan2 import StyleGAN2
from gpz_jax.generators.training import TrainedPrior, train_prior

__all__ = [
  'DCGAN',
  'Critic',
  'Generator',
  'PriorConfig',
  'StyleGAN2',
  'TrainedPrior',
  'load',
  'load_critic',
  'save',
  'train_prior',
]
