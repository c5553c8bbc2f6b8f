"""Defences of a target: a penalty in its training, a change of what is sent, or both.

Defence, Step          what a defence is, for one of the user's own
parse, canonical       defences as text
prepare, wrap          what lanes with several defences share in one program
"""

from gpz_jax.defences.lanes import Training, count_trained, prepare, wrap
from gpz_jax.defences.protocol import Defence, Step
from gpz_jax.defences.specs import NONE, canonical, parse

__all__ = [
  'NONE',
  'Defence',
  'Step',
  'Training',
  'canonical',
  'count_trained',
  'parse',
  'prepare',
  'wrap',
]
