"""Hair: what hangs behind the head, what lies on it, and the beard."""

import numpy as np

from gpz_jax.data.builders.portraits import canvas, face, features
from gpz_jax.data.builders.portraits.canvas import Canvas, edge, step
from gpz_jax.data.builders.portraits.view import View, lit

_LONG = ('long', 'wavy', 'curtains')
_TIED = ('bun', 'tails')
_CURLY = ('curls', 'afro')
_SHORT = ('crop', 'parted', 'quiff', 'spikes', 'buzz')


def draw_back(picture: Canvas, view: View) -> None:
  """Long hair, an afro, a bun or tails, behind neck and face."""
  person, style = view.person, view.person.style
  if style not in (*_LONG, *_TIED, 'bob', 'afro'):
    return
  box = _hair_box(view)
  u, v = view.u[box], view.v[box]
  shade = 0.74 * _texture(view, box)
  if style in (*_LONG, 'bob'):
    picture.paint(box, edge(_hanging(view, box)), _tinted(view, shade))
  elif style == 'afro':
    picture.paint(box, canvas.outline(_curly(view, box, 0.2)), _tinted(view, shade))
  elif style == 'bun':
    top = -person.crown - 0.1
    knot = canvas.ellipse(u, v, (0, top), (0.2, 0.17))
    normal = (u * 5, (v - top) * 5, 0.7)
    picture.paint(box, edge(knot), _tinted(view, lit(view.scene, normal) * shade * 1.3))
  elif style == 'tails':
    for side in (-1, 1):
      # A tail starts behind the ear, and swings outwards as it falls.
      down = canvas.unit((v + 0.12) * (1 / (0.3 + 0.5 * person.length)))
      middle = side * (person.width + 0.03 + 0.2 * down * (1.6 - down))
      half = 0.04 + 0.42 * down * (1.0 - 0.75 * down) * (1.0 - down * down * down)
      tail = half - np.abs(u - middle)
      tail = np.minimum(tail, (v + 0.16) * 0.7)
      picture.paint(box, edge(tail), _tinted(view, shade * 1.25))
      tie = np.minimum(0.04 - np.abs(v + 0.1), 0.06 - np.abs(u - middle))
      picture.paint(box, edge(tie), person.frame)


def draw_front(picture: Canvas, view: View) -> None:
  """The hair on the head, above the hairline."""
  style = view.person.style
  if style == 'bald':
    return
  box = _hair_box(view)
  below = view.t[box] - _hairline(view, box)
  cover = _mass(view, box) * edge(-below, 0.02)
  if style == 'buzz':
    cover = 0.75 * cover
  shadow = view.head(box) > 0
  picture.darken(box, 1.0 - 0.3 * shadow * (1.0 - step(below, -0.02, 0.08)))
  picture.paint(box, cover, _tinted(view, _texture(view, box)))


def _hair_box(view: View) -> canvas.Box:
  """The part of the canvas that the person's hair may reach."""
  person, style = view.person, view.person.style
  wide, high, low = person.width + 0.2, person.crown + 0.24, 0.5
  if style == 'afro':
    wide, high = wide + 0.16, high + 0.1
  elif style in (*_LONG, 'bob'):
    wide, low = wide + 0.1, 1.1
  elif style in _TIED:
    wide, high, low = wide + 0.16, high + 0.1, 0.8
  elif style == 'mohawk':
    high += 0.1
  return view.part(-wide, wide, -high, low)


def _mass(view: View, box: canvas.Box) -> np.ndarray:
  """Share of each pixel that the hair may cover, before the hairline cuts it."""
  person, style = view.person, view.person.style
  grow = person.volume
  if style in _CURLY:
    return canvas.outline(_curly(view, box, 0.06 if style == 'curls' else 0.19))
  if style in (*_LONG, 'bob'):
    return edge(_hanging(view, box))
  if style in ('buzz', 'tonsure'):
    return canvas.outline(view.head(box, 0.02))
  if style in _TIED:
    return canvas.outline(view.head(box, 0.02 + 0.3 * grow))
  u, v = view.u[box], view.v[box]
  if style == 'mohawk':
    teeth = 0.05 * canvas.wave(canvas.turn(u, v) * 5)
    comb = 0.12 + 0.06 * (v + 1) - np.abs(u)
    return canvas.outline(view.head(box, 0.26 + teeth)) * edge(comb)
  if style == 'spikes':
    teeth = np.abs(canvas.wave(canvas.turn(u, v) * 4.5)) * step(-v, 0.1, 0.35)
    return canvas.outline(view.head(box, 0.01 + (0.08 + grow) * teeth))
  if style == 'quiff':
    lift = canvas.bump(u, v, (0.12 * person.parting, -person.crown), (0.4, 0.5))
    return canvas.outline(view.head(box, 0.02 + (0.1 + grow) * lift))
  top = step(-v, -0.25, 0.3)
  return canvas.outline(view.head(box, 0.025 + grow * top))


def _hanging(view: View, box: canvas.Box) -> np.ndarray:
  """Distance into hair that falls down from the head."""
  person = view.person
  u, v = view.u[box], view.v[box]
  wide = person.width + 0.03 + 0.8 * person.volume
  length = person.length if person.style != 'bob' else 0.3 + 0.25 * person.length
  down = np.maximum(v, 0.0)
  if person.style == 'wavy':
    u = u + 0.035 * canvas.wave(v * 2.6 + 0.2) * step(v, -0.3, 0.2)
  half = wide + 0.1 * down
  high = np.minimum(v, 0.0) / (person.crown + 0.02 + 0.6 * person.volume)
  low = np.maximum(down - length + 0.16, 0.0) / 0.16
  across = u / half
  return (1.0 - np.sqrt(across * across + high * high + low * low)) * wide


def _curly(view: View, box: canvas.Box, grow: float) -> np.ndarray:
  """The head with a scalloped edge."""
  person = view.person
  u, v = view.u[box], view.v[box]
  around = canvas.turn(u, v + 0.1)
  grown = grow + 0.5 * person.volume
  loops = np.abs(canvas.wave(around * (2.5 if person.style == 'curls' else 3.0)))
  grown = grown * step(-v, -0.34, 0.1) + 0.045 * loops
  return view.head(box, grown)


def _hairline(view: View, box: canvas.Box) -> np.ndarray:
  """How far down the surface the hair reaches: t for each pixel."""
  person, style = view.person, view.person.style
  s = view.s[box] / person.width
  far = np.abs(s)
  top = -person.crown * person.hairline
  if style == 'tonsure':
    return -0.95 * person.crown + step(far, 0.7, 0.86) * 1.05
  if style == 'mohawk':
    return np.full_like(s, top)
  if style == 'bob':
    fringe = person.eye_level - person.eye_height - 0.1
    fringe = fringe + 0.02 * canvas.wave(s * 3)
    return fringe + 1.6 * step(far, 0.68, 0.9)
  if style in ('long', 'wavy', 'curtains'):
    part = 0.0 if style == 'curtains' else 0.7 * person.parting
    off = np.abs(s - part)
    fall = 0.55 if style == 'curtains' else 0.3
    return top - 0.06 + fall * off * off + 1.7 * step(far, 0.7, 0.95)
  if style == 'parted':
    off = (s - person.parting) * (-1 if person.parting > 0 else 1)
    swoop = np.where(off > 0, 0.2 * off * off, 0.25 * np.abs(off))
    return top - 0.05 + swoop + 0.55 * step(far, 0.74, 0.95)
  line = top + 0.5 * step(far, 0.68, 0.92)
  if style in _CURLY:
    return line + 0.035 * canvas.wave(s * 2.5) + 0.03
  if style == 'crop':
    return line + 0.08 + 0.02 * canvas.wave(s * 4)
  if style == 'spikes':
    return line + 0.05 * canvas.wave(s * 3.5)
  recede = 0.1 * canvas.bump(far, 0.0, (0.5, 0), (0.3, 1))
  return line - recede * (1.0 if style in _SHORT else 0.4)


def _texture(view: View, box: canvas.Box) -> np.ndarray:
  """Light on the hair, with strands or curls: factors of its colour."""
  person, style = view.person, view.person.style
  u, v = view.u[box], view.v[box]
  a, b, c = (part[box] for part in view.normal)
  if style in _CURLY:
    swirl = canvas.wave(u * 5 + 0.8 * canvas.wave(v * 3.3))
    strand = swirl * canvas.wave(v * 5 + 0.8 * canvas.wave(u * 3.7))
  else:
    across = canvas.turn(u, v + 0.15) if style not in ('bob', *_LONG) else u * 2.2
    if style == 'wavy':
      across = across + 0.1 * canvas.wave(v * 2.6)
    place = (across + 4) * 14
    index = place.astype(np.int32)
    share = place - index
    table = person.strands.astype(np.float32)
    strand = table[index % 64] * (1 - share) + table[(index + 1) % 64] * share
  shine = canvas.bump(b, 0.0, (-0.52 + 0.08 * strand, 0), (0.26, 1))
  shine = shine * step(c, 0.1, 0.6)
  light = lit(view.scene, (a, b, c))
  return light * (0.95 + 0.17 * strand) + 0.32 * view.scene.diffuse * shine


def _tinted(view: View, shade: np.ndarray) -> np.ndarray:
  """The hair's colour, shaded; what is brighter than the colour goes to white."""
  colour = canvas.as_planes(view.person.hair)
  extra = np.maximum(shade - 1.0, 0.0)
  return colour * shade + 0.16 * extra


def draw_beard(picture: Canvas, view: View) -> None:
  """Beard and moustache, under the mouth that is drawn later."""
  person = view.person
  if person.beard == 'none':
    return
  long = person.beard == 'long'
  box = face.head_box(view, 0.2 if long else 0.06)
  s, t = view.s[box], view.t[box]
  mouth, tip = features.mouth_level(view), face.nose_tip(view)
  above = t - tip - 0.035
  moustache = np.minimum(above, 0.085 + 0.02 - np.abs(t - mouth + 0.045) - 0.25 * s * s)
  moustache = np.minimum(moustache, person.mouth_width + 0.04 - np.abs(s))
  area = moustache
  if person.beard == 'goatee':
    chin = canvas.ellipse(s, t, (0, mouth + 0.15), (0.17, 0.17))
    area = np.maximum(area, chin)
  whole = edge(area, 0.03)
  if person.beard in ('stubble', 'full', 'long'):
    open_face = canvas.ellipse(
      s, t, (0, tip - 0.13), (0.82 * person.width, 0.13 + 0.8 * person.mouth_drop)
    )
    jaw = np.minimum(-open_face, t - person.eye_level - 0.08)
    whole = np.maximum(whole, edge(jaw, 0.05))
  grow = {'full': 0.035, 'long': 0.05}.get(person.beard, 0.0)
  if long:
    low = np.maximum(view.v[box], 0.0)
    grow = grow + 0.2 * low * low
  cover = whole * canvas.outline(view.head(box, grow))
  strength = 0.4 if person.beard == 'stubble' else 0.96
  shade = _texture(view, box)
  colour = canvas.as_planes(person.beard_colour) * shade
  picture.paint(box, strength * cover, colour)
