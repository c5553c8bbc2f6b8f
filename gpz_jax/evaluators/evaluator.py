"""Evaluators: classifiers that say whom a reconstruction shows.

An evaluator was trained apart from the targets, on the same private images and with
another architecture, so that it shares as little as possible with what was attacked.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax import interruption
from gpz_jax.models import calls, penultimate
from gpz_jax.training.engine import AUTO, Engine
from gpz_jax.types import Dataset, InputError

PIECE = 128


class Answers(NamedTuple):
  """What an evaluator says of images."""

  logits: np.ndarray  # [n, K] float32; K is 0 where it has no classes
  features: np.ndarray  # [n, d] float32


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluator:
  """A trained classifier with what is to be known of it.

  Attributes:
    name: Name of the model, as in `models.make`.
    model: The module. Where `embeds` is true, its output is the features.
    variables: Its variables.
    image_shape: (H, W, C) of the images that it takes. Others are resized to them by
      antialiased bilinear.
    accuracy: Its accuracy on private test images, in [0, 1]; None where it is not
      known. It bounds what AttAcc can mean.
    embeds: Whether the model has no classes that mean anything here, and its output is
      the features.
    engine: How it is computed.
    piece: Number of images that are judged at once; the last piece is filled up.
    kept: Features of images that are asked for again and again, see `scores`.
  """

  name: str
  model: nn.Module
  variables: Any
  image_shape: tuple[int, int, int]
  accuracy: float | None = None
  embeds: bool = False
  engine: Engine = AUTO
  piece: int = PIECE
  kept: dict[Any, Any] = dataclasses.field(default_factory=dict, repr=False)

  def __post_init__(self):
    if not self.embeds:
      penultimate.check(self.model, self.variables, self.image_shape)

  def answer(self, images: np.ndarray) -> Answers:
    """The logits and the features of images, both of one pass.

    The features are what its last layer is given.

    Args:
      images: [n, H, W, C] uint8, of any size.

    Raises:
      InputError: They are no such images, or have other channels than the model takes.
      Interrupted: A signal came.
    """
    self._check(images)
    compute = functools.partial(
      _answer, self.model, self.image_shape, self.embeds, self.engine.resolve()
    )
    parts = []
    for start in range(0, len(images), self.piece):
      interruption.check()
      piece = images[start : start + self.piece]
      filled = np.zeros((self.piece, *images.shape[1:]), np.uint8)
      filled[: len(piece)] = piece
      found = compute(self.variables, jnp.asarray(filled))
      parts.append([np.asarray(each)[: len(piece)] for each in found])
    if not parts:
      raise InputError(f"evaluator '{self.name}' got no images; give at least one")
    return Answers(*(np.concatenate(each) for each in zip(*parts, strict=True)))

  def logits(self, images: np.ndarray) -> np.ndarray:
    """The logits [n, K] of images [n, H, W, C] uint8, see `answer`.

    Raises:
      InputError: It has no classes, or these are no such images.
    """
    if self.embeds:
      raise InputError(
        f"evaluator '{self.name}' has no classes of this data; it gives features alone"
      )
    return self.answer(images).logits

  def features(self, images: np.ndarray) -> np.ndarray:
    """The features [n, d] of images [n, H, W, C] uint8, see `answer`."""
    return self.answer(images).features

  def measure_accuracy(self, dataset: Dataset) -> float:
    """The share of images that it gives to their own class."""
    return float((self.logits(dataset.image).argmax(axis=1) == dataset.label).mean())

  def _check(self, images: np.ndarray) -> None:
    if images.ndim != 4 or images.dtype != np.uint8:
      raise InputError(
        f"evaluator '{self.name}' takes images [n, H, W, C] uint8, got {images.dtype}"
        f' {images.shape}'
      )
    if images.shape[-1] != self.image_shape[-1]:
      raise InputError(
        f"evaluator '{self.name}' takes images of {self.image_shape[-1]} channels, got"
        f' {images.shape[-1]}; convert the images, or train an evaluator on such'
      )


def resize(images: jax.Array, side: tuple[int, int]) -> jax.Array:
  """Images [B, H, W, C] at another height and width, by antialiased bilinear."""
  if images.shape[1:3] == side:
    return images
  shape = (len(images), *side, images.shape[-1])
  return jax.image.resize(images, shape, 'linear', antialias=True)


def resize_all(images: np.ndarray, side: tuple[int, int]) -> np.ndarray:
  """Images [n, H, W, C] uint8 at another height and width, in pieces; see `resize`."""
  if images.shape[1:3] == side:
    return images
  shrink = jax.jit(lambda x: resize(x.astype(jnp.float32), side))
  parts = [shrink(images[i : i + PIECE]) for i in range(0, len(images), PIECE)]
  return np.concatenate([np.asarray(jnp.round(part), np.uint8) for part in parts])


# At module level, so that evaluators of one model and size share a program.
@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _answer(
  model: nn.Module,
  image_shape: tuple[int, int, int],
  embeds: bool,
  engine: Engine,
  variables: Any,
  images: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """Logits [B, K] and features [B, d] of images [B, H, W, C] uint8."""
  pixels = resize(images.astype(jnp.float32) / 255, image_shape[:2])
  if not embeds:
    return penultimate.apply(model, variables, pixels, engine.apply)

  def apply(rngs):
    return engine.apply(model, variables, pixels, train=False, rngs=rngs)

  return jnp.zeros((len(images), 0)), calls.lend_keys(apply)
