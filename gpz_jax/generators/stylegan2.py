"""StyleGAN2: the generator that published face priors are.

Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR
2020, arXiv 1912.04958; docs/paper.md#stylegan2.
"""

import dataclasses
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax.generators.protocol import Generator
from gpz_jax.generators.stylegan2_mapping import Mapping, truncate
from gpz_jax.generators.stylegan2_synthesis import NOISES, Features, Synthesis
from gpz_jax.types import InputError, check_known

RESOLUTIONS = (8, 16, 32, 64, 128, 256, 512, 1024)
LATENTS = ('one', 'all')
PRECISIONS = ('float32', 'bfloat16')


class Networks(nn.Module):
  """Mapping and synthesis network, so that one pytree holds the variables of both."""

  mapping: Mapping
  synthesis: Synthesis

  def __call__(self, z: jax.Array) -> Features:
    """The image of z [B, z_dim], with one w for all layers."""
    w = self.mapping(z)
    num_ws = 2 * len(self.synthesis.widths)
    return self.synthesis(jnp.broadcast_to(w[:, None], (len(w), num_ws, w.shape[-1])))

  def map(self, z: jax.Array) -> jax.Array:
    """The w [B, w_dim] of z [B, z_dim]."""
    return self.mapping(z)

  def synthesize(self, ws: jax.Array, **options: Any) -> Features:
    """What `Synthesis` gives."""
    return self.synthesis(ws, **options)


@dataclasses.dataclass(frozen=True)
class StyleGAN2(Generator):
  """StyleGAN2's architecture with skips, and how an attack uses it.

  A search goes over w. Its layers, for a search that takes over within, are the blocks
  `b4`, `b8`, ... of the synthesis network; what they are given are `Features`: a map
  and the image so far.

  Attributes:
    resolution: Side of the images, one of `RESOLUTIONS`.
    channels: Channels of the images.
    z_dim: Length of what is drawn.
    w_dim: Length of what a style is made of.
    mapping_layers: Number of fully connected layers between the two.
    channel_base: The block of side s has min(channel_base // s, channel_max) channels.
    channel_max: The most channels.
    conv_clamp: Confines what layers put out to +- this; None does not. Nets that were
      trained in half precision have 256.
    latents: 'one' w for all layers, or 'all': one for each.
    psi: How far samples keep from the mean of w; 1 does not truncate.
    cutoff: Number of layers that are truncated; None truncates all.
    noise: 'const' adds the noise that is stored with the weights, 'none' adds none, and
      'random' draws it by the keys that `images` is given.
    crop: Share of both sides that an attack shows the target, from the centre; 800 of
      1024 pixels for the published nets of faces.
    precision: Number format of the synthesis network's maps. Styles, and the sum of the
      blocks' images, are always float32.
  """

  resolution: int = 1024
  channels: int = 3
  z_dim: int = 512
  w_dim: int = 512
  mapping_layers: int = 8
  channel_base: int = 32768
  channel_max: int = 512
  conv_clamp: float | None = None
  latents: str = 'one'
  psi: float = 1.0
  cutoff: int | None = None
  noise: str = 'const'
  crop: float = 1.0
  precision: str = 'float32'

  def __post_init__(self):
    if not 0 < self.crop <= 1:
      raise InputError(
        f'crop={self.crop} is not allowed; give a share above 0, up to 1'
      )
    # So that a generator that is read back from JSON is equal and of the same types.
    for name in ('psi', 'conv_clamp'):
      value = getattr(self, name)
      object.__setattr__(self, name, None if value is None else float(value))
    check_known('resolution', str(self.resolution), map(str, RESOLUTIONS))
    check_known('latents', self.latents, LATENTS)
    check_known('noise', self.noise, NOISES)
    check_known('precision', self.precision, PRECISIONS)
    for name in ('channels', 'z_dim', 'w_dim', 'mapping_layers', 'channel_max'):
      if getattr(self, name) < 1:
        raise InputError(f'{name}={getattr(self, name)} is not allowed; give 1 or more')
    if self.channel_base < self.resolution:
      raise InputError(
        f'channel_base={self.channel_base} leaves no channel at {self.resolution}'
        f' pixels; give {self.resolution} or more'
      )
    if self.cutoff is not None and not 0 <= self.cutoff <= self.num_ws:
      raise InputError(
        f'cutoff={self.cutoff} is not allowed; there are {self.num_ws} layers'
      )

  @property
  def widths(self) -> tuple[int, ...]:
    """Number of channels of each block, from 4x4 on."""
    sides = [4 * 2**i for i in range(self.resolution.bit_length() - 2)]
    return tuple(min(self.channel_base // side, self.channel_max) for side in sides)

  @property
  def num_ws(self) -> int:
    """Number of layers that have a w of their own: two for each block."""
    return 2 * len(self.widths)

  @property
  def networks(self) -> Networks:
    """The linen module whose variables these are."""
    options = (self.channels, self.noise, self.conv_clamp, self.precision)
    return Networks(
      Mapping(self.w_dim, self.mapping_layers), Synthesis(self.widths, *options)
    )

  @property
  def centre_crop(self) -> float:
    """The share of both sides that a target is shown."""
    return self.crop

  @property
  def image_shape(self) -> tuple[int, int, int]:
    """(H, W, C)."""
    return (self.resolution, self.resolution, self.channels)

  @property
  def latent_shape(self) -> tuple[int, ...]:
    """(w_dim,), or (num_ws, w_dim) with a w for each layer."""
    return (self.w_dim,) if self.latents == 'one' else (self.num_ws, self.w_dim)

  def init(self, key: jax.Array) -> dict[str, Any]:
    """Variables as they are before training: {'params', 'constants'}."""
    return dict(self.networks.init(key, jnp.zeros((1, self.z_dim))))

  def sample(self, variables: Any, key: jax.Array, count: int) -> jax.Array:
    """Latents [count, *latent_shape] of z ~ N(0, 1), truncated.

    Latent i depends on the key and on i alone.
    """
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(count))
    z = jax.vmap(lambda key: jax.random.normal(key, (self.z_dim,)))(keys)
    return self.latents_of(variables, z)

  def latents_of(self, variables: Any, z: jax.Array) -> jax.Array:
    """The truncated latents [n, *latent_shape] of z [n, z_dim].

    With one w for all layers it is that of the first layer, which a cutoff of 0 leaves
    as it is.
    """
    chex.assert_shape(z, (None, self.z_dim))
    w: Any = self.networks.apply(variables, z, method='map')
    mean = variables['constants']['mapping']['w_avg']
    ws = truncate(w, mean, self.psi, self.cutoff, self.num_ws)
    return ws[:, 0] if self.latents == 'one' else ws

  def images(
    self, variables: Any, latents: jax.Array, keys: jax.Array | None = None
  ) -> jax.Array:
    """The images [n, H, W, C], nearly in [0, 1].

    Args:
      variables: As `init` gives them.
      latents: [n, *latent_shape].
      keys: A random key for each image [n], where noise is drawn.

    Raises:
      InputError: Noise is drawn, and there are no keys.
    """
    return self._image(self._synthesize(variables, latents, keys))

  def list_layers(self) -> tuple[str, ...]:
    """b4, b8, ..., a block for each resolution."""
    return tuple(f'b{4 * 2**i}' for i in range(len(self.widths)))

  def features(
    self,
    variables: Any,
    latents: jax.Array,
    layer: str,
    keys: jax.Array | None = None,
  ) -> Features:
    """The map [n, h, w, c] and the image so far that a block is given.

    `b4` is given the learned constant and no image. Both are float32.
    """
    return self._handed(variables, latents, keys, stop=self._index(layer))

  def features_from(
    self,
    variables: Any,
    latents: jax.Array,
    layer: str,
    features: Features,
    wanted: str,
    keys: jax.Array | None = None,
  ) -> Features:
    """What block `wanted` is given if block `layer` is given `features`.

    Raises:
      InputError: There is no such block, or `wanted` comes before `layer`.
    """
    start, stop = self._index(layer), self._index(wanted)
    if stop < start:
      raise InputError(f"'{wanted}' comes before '{layer}', which hands nothing back")
    return self._handed(
      variables, latents, keys, start=start, stop=stop, given=features
    )

  def images_from(
    self,
    variables: Any,
    latents: jax.Array,
    layer: str,
    features: Features,
    keys: jax.Array | None = None,
  ) -> jax.Array:
    """The images [n, H, W, C] if a block is given these features."""
    start = self._index(layer)
    return self._image(
      self._synthesize(variables, latents, keys, start=start, given=features)
    )

  def _index(self, layer: str) -> int:
    check_known('layer', layer, self.list_layers())
    return self.list_layers().index(layer)

  def _handed(self, *arguments: Any, **part: Any) -> Features:
    """Features in float32, as a search that moves them needs."""
    made = self._synthesize(*arguments, **part)
    return made._replace(x=made.x.astype(jnp.float32))

  def _synthesize(
    self, variables: Any, latents: jax.Array, keys: jax.Array | None, **part: Any
  ) -> Features:
    chex.assert_shape(latents, (None, *self.latent_shape))
    if self.noise == 'random' and keys is None:
      raise InputError(
        "noise='random' needs a key for each image, which attacks do not give; use"
        " 'const' or 'none'"
      )
    ws = latents.reshape(len(latents), -1, self.w_dim)
    ws = jnp.broadcast_to(ws, (len(latents), self.num_ws, self.w_dim))
    made: Any = self.networks.apply(
      variables, ws, keys=keys, method='synthesize', **part
    )
    return made

  def _image(self, features: Features) -> jax.Array:
    """From [-1, 1] to [0, 1], without clipping, as the protocol asks."""
    assert features.image is not None  # every block has added one
    return (features.image + 1) / 2
