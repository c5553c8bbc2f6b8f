"""What the last bits of a result depend on, beside the config."""

from typing import Any

import jax

import gpz_jax
from gpz_jax import results
from gpz_jax.training.engine import Engine

Conditions = dict[str, Any]  # names are columns of results


def conditions(engine: Engine) -> Conditions:
  """The conditions of what is computed now."""
  return {
    'strategy': engine.strategy,
    'conv': engine.conv_name,
    'precision': engine.precision,
    'devices': engine.devices,
    'device': jax.devices()[0].device_kind,
    'version': gpz_jax.__version__,
  }


def environment(engine: Engine) -> Conditions:
  """The conditions and what else bit-for-bit equality depends on; for checkpoints."""
  return conditions(engine) | {
    'jax': jax.__version__,
    # XLA divides sums among threads: one processor of two changes their last bits.
    'processors': results.count_processors(),
  }


def contrast(before: Conditions, now: Conditions) -> str:
  """What differs, as `strategy vmap, now map`; empty where nothing does."""
  return '; '.join(
    f'{name} {before.get(name)}, now {value}'
    for name, value in now.items()
    if before.get(name) != value
  )
