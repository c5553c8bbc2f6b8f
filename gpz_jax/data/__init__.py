"""Image classification data: TFDS or a folder in, a `Task` of uint8 arrays out."""

from gpz_jax.data.order import epoch_order, eval_order
from gpz_jax.data.task import load

__all__ = ['epoch_order', 'eval_order', 'load']
