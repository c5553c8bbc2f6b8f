"""Image classification data: TFDS or a folder in, a `Task` of uint8 arrays out.

What needs JAX or TFDS is imported when it is first asked for, because a command must
read its flags and answer --help without waiting for them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from gpz_jax.data.order import balanced_order, epoch_order, eval_order
  from gpz_jax.data.task import load

__all__ = ['balanced_order', 'epoch_order', 'eval_order', 'load']


def __getattr__(name: str) -> Any:
  if name in ('balanced_order', 'epoch_order', 'eval_order'):
    from gpz_jax.data import order as home
  elif name == 'load':
    from gpz_jax.data import task as home
  else:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  return getattr(home, name)
