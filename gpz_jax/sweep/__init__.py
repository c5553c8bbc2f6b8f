"""One command's worth: a config in, a workdir with rows, zone and report out.

What needs JAX is imported when it is first asked for, because a command must read its
flags and answer --help without waiting for it.
"""

from typing import TYPE_CHECKING, Any

from gpz_jax.sweep.config import SweepConfig

if TYPE_CHECKING:
  from gpz_jax.study.borrowing import find_targets
  from gpz_jax.sweep.plan import Plan, make_plan
  from gpz_jax.sweep.runner import Results, run, train_targets

__all__ = [
  'Plan',
  'Results',
  'SweepConfig',
  'find_targets',
  'make_plan',
  'run',
  'train_targets',
]


def __getattr__(name: str) -> Any:
  if name == 'find_targets':
    from gpz_jax.study import borrowing as home
  elif name in ('Plan', 'make_plan'):
    from gpz_jax.sweep import plan as home
  elif name in ('Results', 'run', 'train_targets'):
    from gpz_jax.sweep import runner as home
  else:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  return getattr(home, name)
