"""Procedural shapes: a TFDS builder that needs neither a download nor TensorFlow."""

from gpz_jax.data.builders.shapes.prepare import ensure_prepared
from gpz_jax.data.builders.shapes.shapes_dataset_builder import (
  DEFAULT_CONFIG,
  Builder,
)

CONFIGS = tuple(config.name for config in Builder.BUILDER_CONFIGS)

__all__ = ['CONFIGS', 'DEFAULT_CONFIG', 'Builder', 'ensure_prepared']
