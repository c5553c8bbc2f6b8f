"""The face without its features: head, ears, neck, relief, spots."""

import numpy as np

from gpz_jax.data.builders.portraits import canvas
from gpz_jax.data.builders.portraits.canvas import Canvas, bump
from gpz_jax.data.builders.portraits.view import View, lit


def draw_neck(picture: Canvas, view: View) -> None:
  """The neck with the shadow of the chin."""
  person, scene = view.person, view.scene
  box = view.body(-0.6, 0.6, 0.2)
  x, y = view.x[:, box[1]], view.y[box[0]]
  flare = np.maximum(y - 0.45, 0.0)
  half = person.neck + 0.9 * flare * flare
  across = x / half
  cover = canvas.edge(half - np.abs(x))
  shade = lit(scene, (across, 0.3, np.sqrt(np.maximum(1.1 - across * across, 0.1))))
  below = 1.0 - 0.45 * canvas.step(view.head(box, 0.14), -0.35, 0.25)
  colour = canvas.as_planes(0.94 * person.skin) * (shade * below)
  picture.paint(box, cover, colour)


def draw_ears(picture: Canvas, view: View) -> None:
  """Both ears; the one that the head turns to goes behind it."""
  person, scene = view.person, view.scene
  for side in (-1, 1):
    hidden = max(0.0, side * scene.yaw)
    u = side * (person.width + 0.015 - 0.22 * hidden)
    v = 0.04 - 0.15 * scene.pitch
    box = view.part(u - 0.14, u + 0.14, v - 0.24, v + 0.24)
    a, b = view.u[box], view.v[box]
    lean = a - side * 0.12 * (v - b)
    whole = canvas.edge(canvas.ellipse(lean, b, (u, v), (0.075, person.ear)))
    inner = canvas.ellipse(lean, b, (u + side * 0.012, v), (0.042, 0.66 * person.ear))
    shade = lit(scene, ((lean - u) * 9, (b - v) * 4, 0.8))
    shade = shade * (1.0 - 0.3 * canvas.edge(inner, 0.04))
    colour = canvas.as_planes(person.skin * [1.0, 0.93, 0.9])
    picture.paint(box, whole, colour * shade)
    if person.earrings:
      ring = canvas.ellipse(a, b, (u, v + person.ear + 0.02), (0.032, 0.032))
      picture.paint(box, canvas.edge(ring), np.array([0.95, 0.82, 0.4]))


def draw_head(picture: Canvas, view: View) -> None:
  """Skin, lit over the relief of the face."""
  person = view.person
  box = head_box(view)
  level = view.head(box)
  cover = canvas.outline(level)
  normal = tuple(part[box] for part in view.normal)
  down, right = canvas.slopes(_relief(view, box))
  down, right = down * canvas.HALF, right * canvas.HALF
  shade = lit(view.scene, (normal[0] - right, normal[1] - down, normal[2]))
  shade = shade * (1.0 - 0.24 * canvas.step(-level, -0.16, 0.02))  # a darker rim
  colour = canvas.as_planes(person.skin) * (0.95 * shade)
  picture.paint(box, cover, colour)
  _draw_colouring(picture, view)


def head_box(view: View, grow: float = 0.0) -> canvas.Box:
  """The part of the canvas that holds the head."""
  person = view.person
  wide = person.width + grow + 0.14
  return view.part(-wide, wide, -person.crown - grow - 0.03, person.chin + grow + 0.06)


def nose_tip(view: View) -> float:
  """How far down the surface of the face the tip of the nose is."""
  return view.person.eye_level + 0.06 + view.person.nose_length


def _relief(view: View, box: canvas.Box) -> np.ndarray:
  """Height of the face over the egg, in units: [h, w]."""
  person = view.person
  tip, eyes = nose_tip(view), person.eye_level
  middle = (tip + eyes) / 2
  wide = person.nose_width
  mouth = tip + person.mouth_drop
  smile = max(0.0, view.scene.smile)
  hills = [  # height, centre, reach
    (0.05 * person.nose_bridge, (0, middle), (0.075, 0.26)),
    (0.075, (0, tip - 0.01), (1.25 * wide, 0.09)),
    (0.03, (0, eyes - 0.13), (0.36, 0.09)),
    (0.03, (0, tip + 0.36), (0.17, 0.11)),
    (0.025, (0, mouth), (1.3 * person.mouth_width, 0.1)),
  ]
  for side in (-1, 1):
    hills += [
      (-0.04, (side * person.eye_apart, eyes + 0.01), (0.17, 0.12)),
      (0.035, (side * 0.25, tip - 0.02), (0.17, 0.17)),
      (0.035, (side * 0.9 * wide, tip), (0.05, 0.05)),
      (-0.02 * smile, (side * 0.21, mouth - 0.05), (0.06, 0.14)),
    ]
  relief = np.zeros((canvas.SIDE, canvas.SIDE), np.float32)
  for height, centre, reach in hills:
    near = view.around(*centre, max(reach) + 0.02)
    relief[near] += height * bump(view.s[near], view.t[near], centre, reach)
  return relief[box]


def _draw_colouring(picture: Canvas, view: View) -> None:
  """Blush, freckles and a mole."""
  person = view.person
  tip = nose_tip(view)
  red = np.array([0.86, 0.36, 0.34])
  for side in (-1, 1):
    near = view.around(side * 0.27, tip, 0.2)
    cheek = bump(view.s[near], view.t[near], (side * 0.27, tip), (0.17, 0.13))
    picture.paint(near, 0.34 * person.blush * cheek, red * (0.35 + person.skin))
  brown = person.skin * [0.62, 0.5, 0.42]
  if person.freckles:
    for across, down, size in person.spots.tolist():
      s0, t0 = (2 * across - 1) * 0.32, tip - 0.12 + 0.2 * down
      near = view.around(s0, t0, 0.05)
      spot = bump(view.s[near], view.t[near], (s0, t0), (0.016 + 0.014 * size,) * 2)
      picture.paint(near, person.freckles * canvas.unit(1.4 * spot), brown)
  if person.mole:
    near = view.around(*person.mole, 0.06)
    spot = canvas.ellipse(view.s[near], view.t[near], person.mole, (0.014, 0.014))
    picture.paint(near, canvas.edge(spot, 0.02), 0.6 * brown)
