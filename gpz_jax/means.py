"""A mean that is merged before it is divided."""

import flax.struct
import jax
import jax.numpy as jnp


@flax.struct.dataclass
class Mean:
  """A mean that can still be merged: divide last."""

  total: jax.Array  # []
  count: jax.Array  # []

  @classmethod
  def of(cls, values: jax.Array, mask: jax.Array) -> 'Mean':
    """Sums `values` [B] where `mask` [B] is 1."""
    return cls(jnp.sum(values * mask), jnp.sum(mask))

  @classmethod
  def zero(cls) -> 'Mean':
    """The mean of nothing: the identity of `merge`."""
    return cls(jnp.zeros(()), jnp.zeros(()))

  def merge(self, other: 'Mean') -> 'Mean':
    """The mean over both sets of examples."""
    return Mean(self.total + other.total, self.count + other.count)

  def compute(self) -> jax.Array:
    """The mean; NaN where nothing was counted."""
    return self.total / self.count
