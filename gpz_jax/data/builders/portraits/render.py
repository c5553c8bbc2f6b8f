"""From a person and a scene to pixels."""

import numpy as np

from gpz_jax.data.builders.portraits import (
  canvas,
  dress,
  face,
  features,
  hair,
  people,
  scenes,
)
from gpz_jax.data.builders.portraits.view import View

SIZES = (32, 64)

# From the back to the front.
_LAYERS = (
  dress.draw_wall,
  hair.draw_back,
  face.draw_neck,
  dress.draw_clothes,
  face.draw_ears,
  face.draw_head,
  features.draw_nose,
  hair.draw_beard,
  features.draw_mouth,
  features.draw_eyes,
  features.draw_brows,
  hair.draw_front,
  dress.draw_glasses,
)


def render(
  number: int, sample: int, amplitudes: scenes.Amplitudes, size: int
) -> np.ndarray:
  """One portrait: [size, size, 3] uint8.

  Args:
    number: The person, at least 0.
    sample: Which picture of the person, at least 0.
    amplitudes: How strongly scenes vary.
    size: One of `SIZES`.
  """
  scene = scenes.make(number, sample, amplitudes, size)
  view = View(people.make(number), scene)
  picture = canvas.Canvas()
  for draw in _LAYERS:
    draw(picture, view)
  pixels = picture.shrink(size) * scene.tint.astype(np.float32) + scene.grain
  return (255 * canvas.unit(pixels) + 0.5).astype(np.uint8)
