"""Model inversion: targets, their evaluator, a prior, attacks on all classes, a page.

ModelInversionConfig   what a study can be told
run                    runs a study, or what is missing of it
train                  trains a part of a study, for others to take
make_plan              works out a study without training anything
"""

from typing import TYPE_CHECKING, Any

from gpz_jax.model_inversion.config import ModelInversionConfig

if TYPE_CHECKING:
  from gpz_jax.model_inversion.plan import Plan, make_plan
  from gpz_jax.model_inversion.runner import Results, run, train

__all__ = ['ModelInversionConfig', 'Plan', 'Results', 'make_plan', 'run', 'train']


def __getattr__(name: str) -> Any:
  if name in ('Plan', 'make_plan'):
    from gpz_jax.model_inversion import plan as home
  elif name in ('Results', 'run', 'train'):
    from gpz_jax.model_inversion import runner as home
  else:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  return getattr(home, name)
