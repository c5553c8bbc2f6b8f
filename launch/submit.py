"""Submits a study to a cluster: `python -m launch.submit`, see docs/clusters.md."""

from gpz_jax.commands.submit import __doc__ as __doc__
from gpz_jax.commands.submit import main, start

__all__ = ['main', 'start']

if __name__ == '__main__':
  start()
