"""One command's worth: a config in, a workdir with rows, zone and report out."""

from gpz_jax.study.plan import find_targets
from gpz_jax.sweep.config import SweepConfig
from gpz_jax.sweep.plan import Plan, make_plan
from gpz_jax.sweep.run import Results, run

__all__ = ['Plan', 'Results', 'SweepConfig', 'find_targets', 'make_plan', 'run']
