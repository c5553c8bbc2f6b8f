"""What a generator is: the attacker's idea of what an image looks like.

A generator is structure and hashable; its variables are handed to each function, so
that both can be arguments of a compiled program.
"""

import abc
import dataclasses
from typing import Any

import jax

from gpz_jax.types import InputError


@dataclasses.dataclass(frozen=True)
class Generator(abc.ABC):
  """Makes images from latents.

  Where images are said to be in [0, 1], they are so only nearly: a generator does not
  clip, because a clipped pixel has no gradient. Whoever shows, saves or scores an image
  clips it.
  """

  @property
  @abc.abstractmethod
  def image_shape(self) -> tuple[int, int, int]:
    """(H, W, C) of what it makes."""

  @property
  @abc.abstractmethod
  def latent_shape(self) -> tuple[int, ...]:
    """The shape of one latent that an attack searches, such as (w_dim,)."""

  @property
  def centre_crop(self) -> float:
    """The share of each side that holds what targets were trained on, in (0, 1].

    An attack cuts images to it before a target is given them.
    """
    return 1.0

  @abc.abstractmethod
  def sample(self, variables: Any, key: jax.Array, count: int) -> jax.Array:
    """Draws latents [count, *latent_shape] as the generator was trained with.

    Args:
      variables: The variables of the generator.
      key: The random key.
      count: How many are drawn.
    """

  @abc.abstractmethod
  def images(self, variables: Any, latents: jax.Array) -> jax.Array:
    """The images [n, H, W, C], nearly in [0, 1], of latents [n, *latent_shape]."""

  def list_layers(self) -> tuple[str, ...]:
    """The layers in forward order between which a search may take over.

    What a layer hands to the next is called its features. The first entry stands for
    the features that the first layer is given. Empty if there are none to enter at.
    """
    return ()

  def features(self, variables: Any, latents: jax.Array, layer: str) -> Any:
    """The features [n, ...] that `layer` is given when latents are rendered.

    Raises:
      InputError: The generator has no such layer.
    """
    raise InputError(f"{type(self).__name__} has no layer '{layer}' to enter at")

  def images_from(
    self, variables: Any, latents: jax.Array, layer: str, features: Any
  ) -> jax.Array:
    """The images [n, H, W, C] if `layer` is given `features` [n, ...].

    The layers from there on go on with `latents`.

    Raises:
      InputError: The generator has no such layer.
    """
    raise InputError(f"{type(self).__name__} has no layer '{layer}' to enter at")

  def features_from(
    self, variables: Any, latents: jax.Array, layer: str, features: Any, wanted: str
  ) -> Any:
    """The features [n, ...] that `wanted` is given if `layer` is given `features`.

    The layers between the two go on with `latents`. A search that goes through the
    layers one after the other needs this; any other does not.

    Raises:
      InputError: The generator has no such layers, or `wanted` comes before `layer`.
    """
    if layer == wanted in self.list_layers():
      return features
    raise InputError(
      f"{type(self).__name__} does not hand features from '{layer}' on to '{wanted}'"
    )
