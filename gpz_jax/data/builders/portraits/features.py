"""Eyes, brows, nose and mouth, drawn on the surface of the face."""

import numpy as np

from gpz_jax.data.builders.portraits import canvas, face
from gpz_jax.data.builders.portraits.canvas import Canvas, edge
from gpz_jax.data.builders.portraits.view import View

_INK = np.array([0.1, 0.07, 0.08])


def draw_eyes(picture: Canvas, view: View) -> None:
  """Both eyes with their lids."""
  for side in (-1, 1):
    _draw_eye(picture, view, side)


def _draw_eye(picture: Canvas, view: View, side: int) -> None:
  person, scene = view.person, view.scene
  at, level = side * person.eye_apart, person.eye_level
  box = view.around(at, level, person.eye_width + 0.09)
  a = (view.s[box] - at) * side  # outwards
  b = view.t[box] - level + person.eye_slant * a
  along = a / person.eye_width
  arch = np.maximum(1.0 - along * along, 0.0)
  opened = person.eye_height * scene.eyes_open
  top, bottom = b + 1.05 * opened * arch, 0.8 * opened * arch - b
  side_room = (1.0 - np.abs(along)) * person.eye_width
  inside = edge(np.minimum(np.minimum(top, bottom), side_room + 0.01))
  lid = canvas.bump(a, b, (0, -0.9 * opened), (1.3 * person.eye_width, 0.09))
  picture.darken(box, 1.0 - (0.1 + 0.2 * person.lid) * lid)
  white = np.array([0.95, 0.94, 0.93]) * min(1.0, scene.ambient + 0.32)
  picture.paint(box, inside, white)
  _draw_iris(picture, view, box, inside, (a * side, b), opened)
  thick = person.lash * np.sqrt(np.maximum(1.15 - along * along, 0.0))
  upper = np.minimum(thick - np.abs(top), side_room + 0.018)
  picture.paint(box, edge(upper), _INK)
  lower = np.minimum(0.005 - np.abs(bottom), side_room)
  picture.paint(box, 0.4 * edge(lower), 0.5 * person.skin)
  fold = np.minimum(0.006 - np.abs(top - 0.035 - 0.02 * person.lid), side_room - 0.01)
  picture.paint(box, 0.5 * person.lid * edge(fold), 0.45 * person.skin)


def _draw_iris(picture: Canvas, view: View, box, inside, at, opened: float) -> None:
  person, scene = view.person, view.scene
  radius = 0.5 * person.eye_width + 0.012
  s = at[0] - scene.gaze[0] * 0.5 * person.eye_width
  t = at[1] - (scene.gaze[1] - 0.15) * 0.6 * opened
  far = np.sqrt(s * s + t * t)
  picture.paint(box, inside * edge(radius - far), 0.5 * person.iris)
  picture.paint(box, inside * edge(0.8 * radius - far), 1.1 * person.iris)
  picture.paint(box, inside * edge(0.42 * radius - far), 0.4 * _INK)
  spark = np.array([1.0, 1.0, 1.0])
  p, q = s - 0.4 * radius * float(scene.light[0]), t + 0.4 * radius
  picture.paint(box, inside * edge(0.016 - np.sqrt(p * p + q * q)), spark)


def draw_brows(picture: Canvas, view: View) -> None:
  """Both brows."""
  person, scene = view.person, view.scene
  colour = 0.62 * person.beard_colour + 0.2 * person.hair
  if person.style in ('bald', 'tonsure', 'buzz'):
    colour = 0.8 * person.beard_colour
  raised = 0.05 * scene.brow_raise
  height = person.eye_level - person.eye_height - person.brow_gap - raised
  for side in (-1, 1):
    at = side * (person.eye_apart + 0.01)
    box = view.around(at, height, person.brow_length + 0.08)
    a = (view.s[box] - at) * side
    along = a / person.brow_length
    bend = (person.brow_arch + 0.5 * max(0.0, raised)) * (1.0 - along * along)
    line = view.t[box] - height + bend + person.brow_slant * along
    inner = np.sqrt(np.maximum(1.0 - along * along, 0.0))
    thick = person.brow_thick * inner * (1.0 - 0.3 * along)
    cover = edge(np.minimum(thick - np.abs(line), (1.0 - np.abs(along)) * 0.1), 0.02)
    picture.paint(box, 0.9 * cover, colour)


def draw_nose(picture: Canvas, view: View) -> None:
  """Shadow below the nose, its wings, nostrils and a spot of light."""
  person, scene = view.person, view.scene
  tip, wide = face.nose_tip(view), person.nose_width
  box = view.around(0, tip, 0.27)
  lean = 0.08 * scene.yaw  # the tip stands out of the face, so it turns further
  s, t = view.s[box] - lean, view.t[box] + 0.06 * scene.pitch
  skin = person.skin
  under = canvas.bump(s, t, (0, tip + 0.045), (1.35 * wide, 0.05))
  picture.darken(box, 1.0 - 0.42 * under)
  away = -1.0 if scene.light[0] > 0 else 1.0
  side = canvas.bump(
    s, t, (away * (0.035 + 0.35 * wide), tip - 0.1), (0.05, 0.8 * person.nose_length)
  )
  picture.darken(box, 1.0 - 0.26 * side)
  for sign in (-1, 1):
    wing = canvas.ellipse(s, t, (sign * wide, tip), (0.032, 0.04))
    ring = 0.01 - np.abs(wing)
    picture.paint(box, 0.45 * edge(ring, 0.02) * (sign * s > wide), 0.5 * skin)
    hole = canvas.ellipse(
      s, t, (sign * 0.52 * wide, tip + 0.028), (0.3 * wide + 0.006, 0.017)
    )
    picture.paint(box, 0.8 * edge(hole, 0.02), 0.28 * skin)
  shine = canvas.bump(
    s, t, (0.02 * float(scene.light[0]), tip - 0.03), (0.5 * wide, 0.05)
  )
  picture.paint(box, 0.28 * shine, np.array([1.0, 1.0, 1.0]))


def mouth_level(view: View) -> float:
  """How far down the surface the middle of the mouth is."""
  return face.nose_tip(view) + view.person.mouth_drop


def draw_mouth(picture: Canvas, view: View) -> None:
  """Lips, and teeth where they are open."""
  person, scene = view.person, view.scene
  level = mouth_level(view)
  half = person.mouth_width * (1 + 0.16 * scene.smile)
  box = view.around(0, level + 0.02, half + 0.1)
  s, t = view.s[box], view.t[box]
  along = s / half
  arch = np.maximum(1.0 - along * along, 0.0)
  line = t - level - 0.085 * scene.smile * (arch - 0.5)
  gap = 0.075 * scene.mouth_open * arch
  bow = 1.0 - 0.45 * canvas.bump(s, 0.0, (0, 0), (0.06, 1))
  upper = np.minimum(line + person.lip_upper * arch * bow + 0.3 * gap, -line)
  lower = np.minimum(line, gap + person.lip_lower * arch - line)
  ends = (1.0 - np.abs(along)) * half
  shadow = canvas.bump(s, line, (0, person.lip_lower + 0.07), (0.7 * half, 0.05))
  picture.darken(box, 1.0 - 0.2 * shadow)
  picture.paint(box, edge(np.minimum(upper, ends)), 0.84 * person.lips)
  lip = canvas.as_planes(person.lips) * (1.06 - 2.0 * np.abs(line - gap - 0.02))
  picture.paint(box, edge(np.minimum(lower, ends)), lip)
  inner = edge(np.minimum(np.minimum(line + 0.3 * gap, gap - line), ends))
  picture.paint(box, inner, np.array([0.3, 0.08, 0.09]))
  if scene.mouth_open > 0:
    teeth = np.minimum(np.minimum(line + 0.25 * gap, 0.42 * gap - line), ends - 0.02)
    picture.paint(box, edge(teeth), np.array([0.95, 0.94, 0.9]))
  seam = np.minimum(0.009 - np.abs(line), ends + 0.015)
  closed = max(0.0, 1 - 3 * scene.mouth_open)
  picture.paint(box, edge(seam) * (0.25 + 0.65 * closed), 0.3 * person.lips)
