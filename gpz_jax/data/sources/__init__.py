"""Where a named dataset lies, and how to read it as encoded images."""

from gpz_jax.data.sources.base import Source, expand
from gpz_jax.data.sources.names import default_dir, find

__all__ = ['Source', 'default_dir', 'expand', 'find']
