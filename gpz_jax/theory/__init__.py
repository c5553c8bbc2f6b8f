"""The quantities of the paper's argument, measured on activations."""

from gpz_jax.theory.measure import FAMILIES, capture_on_host, check_examples, measure
from gpz_jax.theory.quantity import Quantity

__all__ = ['FAMILIES', 'Quantity', 'capture_on_host', 'check_examples', 'measure']
