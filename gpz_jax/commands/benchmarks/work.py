"""Counts the operations of the decoders' convolutions analytically."""

import math

from gpz_jax.attacks.activation import decoders
from gpz_jax.commands.benchmarks.options import IMAGE
from gpz_jax.models.choices import Site
from gpz_jax.training import tune


def sites(activation: tuple[int, ...]) -> list[Site]:
  """Lists the convolutions of an activation's decoder."""
  return tune.find_sites(decoders.make(activation, IMAGE), activation)


def flops(site: Site, batch: int) -> int:
  """Counts the operations of a forward pass, and thus of each of the two gradients."""
  taps = math.prod(site.kernel)
  return 2 * batch * math.prod(site.size) * taps * site.c_in * site.c_out


def step_flops(activation: tuple[int, ...], batch: int) -> int:
  """Counts the operations of a decoder's training step, for its convolutions only."""
  met = sites(activation)
  work = 3 * sum(flops(site, batch) for site in met)
  is_map = len(activation) == 3
  # Nobody needs the gradient of the activation, so the first convolution of a map
  # takes one pass less.
  return work - flops(met[0], batch) if is_map else work
