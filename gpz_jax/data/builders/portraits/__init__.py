"""Drawn portraits of made-up people: a TFDS builder that needs no download."""

from gpz_jax.data.builders.portraits.options import parse, role, spell
from gpz_jax.data.builders.portraits.portraits_dataset_builder import (
  DEFAULT_CONFIG,
  Builder,
)
from gpz_jax.data.builders.portraits.prepare import ensure_prepared

__all__ = ['DEFAULT_CONFIG', 'Builder', 'ensure_prepared', 'parse', 'role', 'spell']
