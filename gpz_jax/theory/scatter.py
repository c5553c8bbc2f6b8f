"""Class centres and the scatter about them, summed batch by batch.

Sums are float64, and every batch is centred before it is squared. An offset common to
all activations therefore costs no digits.
"""

import dataclasses

import numpy as np

from gpz_jax.theory import examples
from gpz_jax.theory.examples import Examples
from gpz_jax.types import InputError


@dataclasses.dataclass
class Scatter:
  """Centres of K classes and squared distances to them, updated in place.

  Attributes:
    count: [K] int64, the number of examples of each class so far.
    mean: [K, D] float64, the class centres; 0 where a class has no example.
    square: [K, C] float64, the squared distances to the class centre, summed over the
      examples and the positions of a channel.

  Source: pairwise merging of moments, Chan, Golub and LeVeque 1983.
  """

  count: np.ndarray
  mean: np.ndarray
  square: np.ndarray

  @classmethod
  def zero(cls, num_classes: int, shape: tuple[int, ...]) -> 'Scatter':
    """The scatter of no example; `shape` is that of one activation, channels last."""
    if num_classes < 1 or not shape or min(shape) < 1:
      raise InputError(
        f'scatter needs classes and a shape, got {num_classes} classes of {shape}'
      )
    return cls(
      np.zeros(num_classes, np.int64),
      np.zeros((num_classes, int(np.prod(shape)))),
      np.zeros((num_classes, shape[-1])),
    )

  def update(self, activations, labels) -> None:
    """Adds a batch: activations [B, ...] with labels [B] in [0, K)."""
    batch = examples.check(activations, labels)
    shape = (batch.flat.shape[1], batch.channels)
    if shape != (self.mean.shape[1], self.square.shape[1]):
      raise InputError(
        f'a batch of {shape[0]} elements in {shape[1]} channels does not fit a scatter '
        f'of {self.mean.shape[1]} in {self.square.shape[1]}'
      )
    if batch.classes[0] < 0 or batch.classes[-1] >= len(self.count):
      raise InputError(
        f'labels must be in [0, {len(self.count)}), got {batch.classes[0]} to '
        f'{batch.classes[-1]}'
      )
    self._update(batch.flat, batch.label, batch.classes)

  def merge(self, other: 'Scatter') -> None:
    """Adds the examples of another scatter of the same classes and shape."""
    if (self.mean.shape, self.square.shape) != (other.mean.shape, other.square.shape):
      raise InputError(
        f'only scatters of one shape merge, got {self.mean.shape} and '
        f'{other.mean.shape}'
      )
    for k in np.flatnonzero(other.count):
      self._add(int(k), int(other.count[k]), other.mean[k], other.square[k])

  def offsets(self) -> np.ndarray:
    """[K, D]: class centres about the mean of all examples.

    They are exactly 0 where all centres are equal, because one of the centres is
    subtracted from all of them first.
    """
    weight, seen = self._weight(), self.count > 0
    about = np.where(seen[:, None], self.mean - self.mean[np.argmax(seen)], 0.0)
    return np.where(seen[:, None], about - weight @ about, 0.0)

  def between(self) -> float:
    """tr S_B: mean squared distance of the examples' class centres to their mean."""
    return float(self._weight() @ np.square(self.offsets()).sum(axis=1))

  def within(self) -> float:
    """tr S_W: mean squared distance of the examples to their class centre."""
    return float(self.square.sum() / self._total())

  def channel_variance(self) -> np.ndarray:
    """[C]: variance of every channel over examples and positions, as a norm sees it."""
    K, C = self.square.shape
    mean = self.mean.reshape(K, -1, C)
    about = mean - mean[np.argmax(self.count > 0), 0]
    weight = self._weight() / mean.shape[1]
    about -= np.einsum('k,kpc->c', weight, about)
    between = np.einsum('k,kpc,kpc->c', weight, about, about)
    return between + self.square.sum(axis=0) / (self._total() * mean.shape[1])

  def _weight(self) -> np.ndarray:
    return self.count / self._total()

  def _total(self) -> int:
    if not self.count.any():
      raise InputError('a scatter of no examples has no mean; update it first')
    return int(self.count.sum())

  def _update(self, flat: np.ndarray, label: np.ndarray, classes: np.ndarray) -> None:
    for i, k in enumerate(classes):
      rows = flat[label == i].astype(np.float64)
      first = rows[0].copy()
      rows -= first  # equal examples then have a scatter of exactly 0
      mean = rows.mean(axis=0)
      rows -= mean
      self._add(
        int(k), len(rows), first + mean, self._by_channel(np.square(rows).sum(0))
      )

  def _add(self, k: int, count: int, mean: np.ndarray, square: np.ndarray) -> None:
    total = self.count[k] + count
    delta = mean - self.mean[k]
    shift = self._by_channel(np.square(delta)) * (self.count[k] * (count / total))
    self.square[k] += square + shift
    self.mean[k] += delta * (count / total)
    self.count[k] = total

  def _by_channel(self, square: np.ndarray) -> np.ndarray:
    return square.reshape(-1, self.square.shape[1]).sum(axis=0)


def gather(data: Examples) -> Scatter:
  """The scatter of all examples, read in blocks of rows."""
  scatter = Scatter.zero(
    len(data.classes), (data.flat.shape[1] // data.channels, data.channels)
  )
  for rows in data.rows():
    classes, label = np.unique(data.label[rows], return_inverse=True)
    scatter._update(data.flat[rows], label, classes)
  return scatter
