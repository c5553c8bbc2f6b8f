"""One command's worth: a config in, a workdir with rows, zone and report out."""

from gpz_jax.sweep.config import SweepConfig
from gpz_jax.sweep.run import Results, make_plan, run

__all__ = ['Results', 'SweepConfig', 'make_plan', 'run']
