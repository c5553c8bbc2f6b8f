"""How close a reconstruction is to its image, and what simple guesses score.

Images are channels last with values in [0, 1]. The standard form of a score is per
element and per image; the form published for the golden partition zone sums squared
errors over channels (`paper_mse`) and takes PSNR of whole batches of 32
(`psnr_paper`): both are reported everywhere.
"""

import math
from collections.abc import Callable

import chex
import dm_pix
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.tree_util import Partial

from gpz_jax.means import Mean
from gpz_jax.types import Dataset, InputError
from gpz_jax.vocabulary import SSIM_WINDOW

MSE_FLOOR = 1e-10  # gives a perfect reconstruction 100 dB instead of infinity
PAPER_BATCH = 32  # the released code evaluates in batches of 32
THUMBNAILS = (2, 4, 8)


def mse(images: jax.Array, reconstructions: jax.Array) -> jax.Array:
  """Mean squared error over the elements of each image: [B, H, W, C] -> [B]."""
  _check_images(images, reconstructions)
  return jnp.mean(jnp.square(reconstructions - images), axis=(1, 2, 3))


def psnr(images: jax.Array, reconstructions: jax.Array) -> jax.Array:
  """Peak signal-to-noise ratio of each image in dB: [B, H, W, C] -> [B].

  The peak is 1 and the error is clamped at 1e-10, so the highest value is 100 dB.
  """
  return _decibel(mse(images, reconstructions))


def ssim(images: jax.Array, reconstructions: jax.Array) -> jax.Array:
  """Mean structural similarity of each image: [B, H, W, C] -> [B] in [-1, 1].

  Gaussian window of 11 pixels and sigma 1.5, valid region only, mean over channels.

  Raises:
    InputError: an image is smaller than the window.

  Source: Wang et al., Image quality assessment, IEEE TIP 13(4), 2004.
  """
  _check_images(images, reconstructions)
  H, W = images.shape[1:3]
  if min(H, W) < SSIM_WINDOW:
    raise InputError(
      f'ssim needs images of at least {SSIM_WINDOW}x{SSIM_WINDOW} pixels, got {H}x{W}; '
      f'use a larger image_size'
    )
  blur = _gaussian_blur(H, W)
  return jnp.asarray(dm_pix.ssim(images, reconstructions, filter_fn=blur))


def cosine(images: jax.Array, reconstructions: jax.Array) -> jax.Array:
  """Cosine similarity of each flattened image: [B, H, W, C] -> [B] in [-1, 1]."""
  _check_images(images, reconstructions)
  axes = (1, 2, 3)
  dot = jnp.sum(images * reconstructions, axis=axes)
  squared = jnp.sum(images**2, axis=axes) * jnp.sum(reconstructions**2, axis=axes)
  return dot / jnp.maximum(jnp.sqrt(squared), 1e-8)  # torch's epsilon: black gives 0


def paper_mse(mse, channels: int):
  """The published form of a per-element `mse`: summed over the image's channels.

  Source: the released code divides the squared error by N * H * W, so three-channel
  values are 3 times the standard ones.
  """
  return channels * mse


def evaluate_batch(
  images: jax.Array, reconstructions: jax.Array, mask: jax.Array
) -> dict[str, Mean]:
  """Scores one batch, ready to be merged with the others.

  Args:
    images: [B, H, W, C] float32 in [0, 1].
    reconstructions: [B, H, W, C] float32 in [0, 1].
    mask: [B], 1 for a real example and 0 for padding.

  Returns:
    `mse`, `psnr`, `ssim` and `cosine`, means over examples; and `psnr_paper`, a mean
    over *batches* of the PSNR of the batch's mean error (its value depends on the
    batch size: published numbers go with `PAPER_BATCH`).
  """
  errors = mse(images, reconstructions)
  chex.assert_shape(mask, errors.shape, custom_message='mask must be [B]')
  error = Mean.of(errors, mask)
  has_examples = (error.count > 0).astype(jnp.float32)
  batch_psnr = _decibel(error.total / jnp.maximum(error.count, 1.0))
  return {
    'mse': error,
    'psnr': Mean.of(_decibel(errors), mask),
    'ssim': Mean.of(ssim(images, reconstructions), mask),
    'cosine': Mean.of(cosine(images, reconstructions), mask),
    'psnr_paper': Mean.of(batch_psnr, has_examples),
  }


def ladder(
  aux: Dataset,
  test: Dataset,
  *,
  shared_labels: bool = True,
  batch_size: int = PAPER_BATCH,
) -> dict[str, dict[str, float]]:
  """Scores simple guesses on the test subset, to compare reconstructions with.

  Rungs: the mean image of `aux`; the mean image of the true class in `aux`; one
  colour per image; a thumbnail of 2x2, 4x4 and 8x8 pixels (block averages shown as
  blocks). The last four see the test image itself.

  Args:
    aux: The attacker's data, images [N, H, W, C].
    test: The data that is scored, images [N, H, W, C].
    shared_labels: Whether the labels of `aux` mean what those of `test` mean; the
      class-mean rung is left out when they do not.
    batch_size: Number of images per batch; `psnr_paper` depends on it.

  Returns:
    {rung: {`mse`, `psnr`, `ssim`, `cosine`, `mse_paper`, `psnr_paper`}}, worst guess
    first.
  """
  if aux.image.shape[1:] != test.image.shape[1:]:
    raise InputError(
      f'ladder needs aux and test images of one shape, got {aux.image.shape[1:]} and '
      f'{test.image.shape[1:]}; load both with the same image_size'
    )
  guesses = {'mean_image': _guess_constant(_mean_image(aux.image))}
  if shared_labels:
    guesses['class_mean'] = _guess_class_mean(aux, test)
  guesses['mean_colour'] = _guess_thumbnail(1)
  for size in THUMBNAILS:
    guesses[f'thumbnail_{size}'] = _guess_thumbnail(size)
  scores = _score(test, list(guesses.values()), batch_size)
  channels = test.image.shape[-1]
  return {
    rung: {name: float(values[i]) for name, values in scores.items()}
    | {'mse_paper': paper_mse(float(scores['mse'][i]), channels)}
    for i, rung in enumerate(guesses)
  }


def chance_accuracy(labels: np.ndarray) -> float:
  """The accuracy on a subset up to which a classifier may be guessing.

  It is what always answering the most common class scores, and room above it: two
  standard deviations of that score, a tenth of the way to 1, or, where there are many
  classes, as much again.

  Args:
    labels: [N], the labels of the subset.
  """
  share = float(np.bincount(labels).max() / len(labels))
  spread = 2 * math.sqrt(share * (1 - share) / len(labels))
  return min(1.0, share + max(spread, min(share, 0.1 * (1 - share))))


# (images, labels) -> guesses. What it holds is a pytree: arguments of the program, and
# not constants, which the class means of many large images would be as well.
Guess = Partial


def _guess_constant(image: np.ndarray) -> Guess:
  def guess(image, images, labels):
    return jnp.broadcast_to(image[None], images.shape)

  return Partial(guess, image)


def _guess_class_mean(aux: Dataset, test: Dataset) -> Guess:
  """The mean aux image of the example's class; of all of aux for an unseen class."""
  num_classes = 1 + int(max(aux.label.max(), test.label.max()))
  means = np.tile(_mean_image(aux.image)[None], (num_classes, 1, 1, 1))
  for k in np.unique(aux.label):
    means[k] = _mean_image(aux.image[aux.label == k])
  return Partial(lambda means, images, labels: means[labels], means)


def _guess_thumbnail(size: int) -> Guess:
  """Averages over size x size blocks, each shown as a block of one colour."""

  def guess(images, labels):
    B, H, W, C = images.shape
    rows, columns = _block_mean(H, size), _block_mean(W, size)
    small = jnp.einsum('ih,jw,bhwc->bijc', rows, columns, images, precision='highest')
    return jax.image.resize(small, (B, H, W, C), 'nearest')

  return Partial(guess)


def _score(
  test: Dataset, guesses: list[Guess], batch_size: int
) -> dict[str, np.ndarray]:
  """Scores R guesses over the whole of `test` in one compiled loop: {score: [R]}."""
  evaluate = jax.vmap(evaluate_batch, in_axes=(None, 0, None))

  num_batches = -(-len(test) // batch_size)
  batches = jnp.arange(num_batches * batch_size).reshape(num_batches, batch_size)

  @jax.jit
  def score_all(image, label, guesses):  # arguments, not constants of the program
    def score_batch(index):  # [B]: past the end in the last batch, masked there
      mask = (index < len(test)).astype(jnp.float32)
      index = index % len(test)
      images = image[index].astype(jnp.float32) / 255
      tried = jnp.stack([guess(images, label[index]) for guess in guesses])
      return evaluate(images, tried, mask)

    return lax.map(score_batch, batches)  # Means of [batches, R]

  scores = score_all(test.image, test.label, guesses)
  sums = jax.tree.map(lambda x: np.sum(x, axis=0), scores)
  assert np.all(sums['mse'].count == len(test))
  return {name: mean.compute() for name, mean in sums.items()}


def _mean_image(image: np.ndarray) -> np.ndarray:
  """[N, H, W, C] uint8 -> [H, W, C] float32 in [0, 1]."""
  return (image.mean(axis=0, dtype=np.float64) / 255).astype(np.float32)


def _block_mean(length: int, size: int) -> np.ndarray:
  """[size, length] matrix that averages equal (also fractional) parts of a line."""
  edges = np.arange(size + 1)[:, None] * (length / size)
  pixels = np.arange(length)[None]
  low = np.maximum(edges[:-1], pixels)
  high = np.minimum(edges[1:], pixels + 1)
  overlap = np.maximum(high - low, 0)
  return (overlap * size / length).astype(np.float32)


def _gaussian_blur(height: int, width: int) -> Callable:
  """The window of SSIM as two products with banded matrices.

  dm_pix's own convolution is up to twice as fast inside a scan, but 8 to 15 times
  slower in the entry computation of XLA:CPU; matrix products have no such trap.
  """
  rows, columns = _gaussian_band(height), _gaussian_band(width)

  def blur(x):  # [B, H, W, C] -> [B, H - 10, W - 10, C]
    x = jnp.einsum('oh,bhwc->bowc', rows, x, precision='highest')
    return jnp.einsum('pw,bowc->bopc', columns, x, precision='highest')

  return blur


def _gaussian_band(length: int, sigma: float = 1.5) -> np.ndarray:
  """[length - 10, length]: each row holds the normalised window at one position."""
  positions = np.arange(length - SSIM_WINDOW + 1)[:, None]
  offsets = np.arange(length)[None] - positions - SSIM_WINDOW // 2
  inside = np.abs(offsets) <= SSIM_WINDOW // 2
  band = np.where(inside, np.exp(-0.5 * (offsets / sigma) ** 2), 0.0)
  return (band / band.sum(axis=1, keepdims=True)).astype(np.float32)


def _decibel(error: jax.Array) -> jax.Array:
  return -10.0 * jnp.log10(jnp.maximum(error, MSE_FLOOR))


def _check_images(images: jax.Array, reconstructions: jax.Array) -> None:
  if images.ndim != 4 or images.shape != reconstructions.shape:
    raise InputError(
      f'images and reconstructions must both be [B, H, W, C], got {images.shape} and '
      f'{reconstructions.shape}'
    )
  for name, array in (('images', images), ('reconstructions', reconstructions)):
    if not jnp.issubdtype(array.dtype, jnp.floating):
      raise InputError(f'{name} are {array.dtype}; give floats in [0, 1]')
