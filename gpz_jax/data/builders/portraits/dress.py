"""Wall, clothes and glasses."""

import numpy as np

from gpz_jax.data.builders.portraits import canvas
from gpz_jax.data.builders.portraits.canvas import Canvas, edge
from gpz_jax.data.builders.portraits.view import View, lit


def draw_wall(picture: Canvas, view: View) -> None:
  """What is behind the person: a gradient, and things out of focus."""
  scene, box = view.scene, canvas.WHOLE
  axis = (np.arange(canvas.SIDE, dtype=np.float32) + 0.5) / canvas.HALF - 1
  x, y = axis[None], axis[:, None]
  draw = [float(number) for number in scene.pattern]
  down = canvas.unit(0.5 + 0.5 * y + 0.3 * draw[0] * x)
  upper, lower = (canvas.as_planes(colour) for colour in scene.wall)
  picture.colour[:] = upper + down * (lower - upper)
  strength = 0.7 * scene.clutter
  panel = np.minimum(
    0.3 + 0.2 * draw[1] - np.abs(x - draw[2]), 0.7 - np.abs(y - draw[3])
  )
  picture.paint(box, strength * edge(panel, 0.05), scene.wall[1][::-1])
  radius = 0.35 + 0.2 * draw[6]
  disc = canvas.ellipse(x, y, (draw[4], draw[5] - 0.3), (radius, radius))
  picture.paint(box, strength * edge(disc, 0.12), scene.wall[0][[1, 2, 0]] * 0.9)
  if draw[7] > 0.3:
    stripes = canvas.wave(x * (1.5 + draw[8]) + y * draw[9])
    picture.darken(box, 1.0 + 0.25 * strength * stripes)


def draw_clothes(picture: Canvas, view: View) -> None:
  """Shoulders in a shirt, with one of four collars."""
  person, scene = view.person, view.scene
  box = view.body(-1.2, 1.2, 0.4)
  x, y = view.x[:, box[1]], view.y[box[0]]
  top, neck = 0.66, person.neck
  body = canvas.ellipse(x, y, (0, top + 0.62), (person.build, 0.62))
  square = canvas.edge(body)
  hole_y = top - 0.06
  if scene.collar == 1:  # a V
    hole = np.minimum(neck + 0.06 - np.abs(x) - 0.62 * (y - hole_y), 0.5)
  elif scene.collar == 3:  # up to the chin
    hole = np.full_like(y, -1.0)
  else:
    hole = canvas.ellipse(x, y, (0, hole_y), (neck + 0.07, 0.16))
  across = x / person.build
  shade = lit(scene, (0.8 * across, -0.35, 0.75))
  folds = 1.0 - 0.1 * canvas.step(canvas.wave(x * 1.7 + 0.3 * y), 0.2, 1.0)
  colour = canvas.as_planes(scene.cloth[0]) * (shade * folds)
  picture.paint(box, square * (1.0 - edge(hole)), colour)
  trim = canvas.as_planes(scene.cloth[1]) * shade
  if scene.collar == 3:
    roll = np.minimum(neck + 0.05 - np.abs(x), np.minimum(y - 0.5, 0.86 - y))
    picture.paint(box, edge(roll, 0.03), colour * 1.08)
  elif scene.collar == 2:  # a shirt's two points
    for side in (-1, 1):
      a = side * x
      flap = np.minimum(a - 0.02 - 0.3 * (y - 0.62), neck + 0.12 - a + 0.1 * (y - 0.62))
      flap = np.minimum(flap, np.minimum(y - top + 0.12, 0.86 - y - 0.6 * (0.3 - a)))
      picture.paint(box, edge(flap), trim)
  else:
    picture.paint(box, square * edge(0.03 - np.abs(hole + 0.02)), trim)


def draw_glasses(picture: Canvas, view: View) -> None:
  """Frames, bridge and a shine on the lenses."""
  person = view.person
  if person.glasses == 'none':
    return
  tall = {'round': 0.135, 'square': 0.115, 'wide': 0.095}[person.glasses]
  wide = {'round': 0.135, 'square': 0.15, 'wide': 0.165}[person.glasses]
  thick = 0.016
  level = person.eye_level + 0.01
  apart = max(person.eye_apart, wide + 0.03)
  box = view.part(-0.62, 0.62, -0.45, 0.45)
  s, t = view.s[box], view.t[box] - level
  far = np.abs(s)
  a, b = (far - apart) / wide, t / tall
  if person.glasses == 'round':
    lens = (1.0 - np.sqrt(a * a + b * b)) * tall
  else:
    p, q = a * a, b * b
    lens = (1.0 - np.sqrt(np.sqrt(p * p + q * q))) * tall
  on_face = canvas.unit(view.head(box, 0.02) * 8)
  glass = edge(lens) * (0.1 + 0.12 * (canvas.wave((s + t) * 1.3 + 0.3) > 0.55))
  picture.paint(box, glass, np.array([0.9, 0.95, 1.0]))
  bridge = np.minimum(thick - np.abs(t + 0.02), apart - wide + 0.01 - far)
  arms = np.minimum(thick - np.abs(t + 0.03), far - apart - wide + 0.01)
  frame = np.maximum(np.maximum(bridge, arms), thick - np.abs(lens))
  picture.paint(box, edge(frame) * on_face, person.frame)
