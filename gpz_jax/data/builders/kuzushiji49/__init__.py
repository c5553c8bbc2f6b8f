"""Kuzushiji-49: a TFDS builder from the four published .npz files."""

from gpz_jax.data.builders.kuzushiji49.kuzushiji49_dataset_builder import (
  CONFIGS,
  DEFAULT_CONFIG,
  FILES,
  Builder,
)

__all__ = ['CONFIGS', 'DEFAULT_CONFIG', 'FILES', 'Builder']
