"""How many operations the decoders' convolutions take, by analytic count."""

import math

from experiments.benchmarks.options import IMAGE
from gpz_jax.attacks.activation import decoders
from gpz_jax.models.choices import Site
from gpz_jax.training import tune


def sites(activation: tuple[int, ...]) -> list[Site]:
  """The convolutions of an activation's decoder."""
  return tune.find_sites(decoders.make(activation, IMAGE), activation)


def flops(site: Site, batch: int) -> int:
  """Operations of a forward pass; the two gradients take as much each."""
  taps = math.prod(site.kernel)
  return 2 * batch * math.prod(site.size) * taps * site.c_in * site.c_out


def step_flops(activation: tuple[int, ...], batch: int) -> int:
  """Operations of a decoder's training step, its convolutions only."""
  met = sites(activation)
  work = 3 * sum(flops(site, batch) for site in met)
  is_map = len(activation) == 3
  # The first convolution of a map is spared: nobody asks for the activation's gradient.
  return work - flops(met[0], batch) if is_map else work
