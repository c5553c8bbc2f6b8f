"""Which implementation computes a convolution: the one asked for, or the fastest.

`choices.json` holds, for each backend, what was fastest for the shapes the project
trains (`python -m experiments.bench --suite=conv`). A shape that is not in it takes the
choice of the nearest one. `winograd` takes two seconds longer to compile, so it is
listed only where it saves 10 ms per step. A choice changes speed and the last bits of a
result.
"""

import contextlib
import contextvars
import functools
import json
import math
import pathlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import jax

from gpz_jax.types import check_known
from gpz_jax.vocabulary import CONVOLUTIONS, DENSE

UPSAMPLE = (
  'lax',
  'subpixel',
  'canonical',
  'taps',
  'gemm',
  'phases',
  'scatter',
  'winograd',
)
# `deconv`, of `generators.deconvolutions`, is not tuned: wherever it was measured on
# CPU, `canonical` was the fastest.
KNOWN = {'dense': DENSE, 'upsample': UPSAMPLE, 'deconv': DENSE}
_MEASURED = pathlib.Path(__file__).with_name('choices.json')
# Used where nothing was measured: safe in compiled loops, see `convolutions`.
_DEFAULTS = {
  'cpu': {'dense': 'taps', 'upsample': 'taps', 'deconv': 'canonical'},
  'other': {'dense': 'lax', 'upsample': 'subpixel', 'deconv': 'lax'},
}


class Site(NamedTuple):
  """What the speed of a convolution depends on, apart from the batch."""

  kind: str  # one of `KNOWN`
  kernel: tuple[int, int]
  size: tuple[int, int]  # height and width of the input
  c_in: int
  c_out: int

  @property
  def text(self) -> str:
    """The form in choices.json: `dense 3x3 64x64 64>3`."""
    kernel, size = ('x'.join(map(str, pair)) for pair in (self.kernel, self.size))
    return f'{self.kind} {kernel} {size} {self.c_in}>{self.c_out}'

  @classmethod
  def parse(cls, text: str) -> 'Site':
    """The inverse of `text`."""
    kind, kernel, size, channels = text.split()
    kernel_h, kernel_w = map(int, kernel.split('x'))
    height, width = map(int, size.split('x'))
    c_in, c_out = map(int, channels.split('>'))
    return cls(kind, (kernel_h, kernel_w), (height, width), c_in, c_out)

  def distance(self, other: 'Site') -> float:
    """How unlike two sites are; infinite for another kind of convolution."""
    if (self.kind, self.kernel) != (other.kind, other.kernel):
      return math.inf
    ours, theirs = (
      (math.prod(site.size), site.c_in, site.c_out) for site in (self, other)
    )
    return sum(abs(math.log2(a / b)) for a, b in zip(ours, theirs, strict=True))


Table = tuple[tuple[str, str], ...]  # (text of a site, implementation)
Setting = str | Table
_setting: contextvars.ContextVar[Setting] = contextvars.ContextVar(
  'convolutions', default='auto'
)
_met: contextvars.ContextVar[list[Site] | None] = contextvars.ContextVar(
  'sites', default=None
)


def check(setting: str) -> None:
  """Refuses an unknown name.

  Raises:
    InputError: not in `CONVOLUTIONS`.
  """
  check_known('conv', setting, CONVOLUTIONS)


def check_table(entries: Mapping[str, object]) -> Table:
  """Checks the entries of a file and makes a tuned table of them.

  Raises:
    ValueError: an entry is no convolution, or its implementation is not known.
  """
  for text, way in entries.items():
    kind = Site.parse(text).kind
    if way not in KNOWN.get(kind, ()):
      raise ValueError(f'{text!r} by {way!r} is not known')
  return tuple((text, str(way)) for text, way in entries.items())


@contextlib.contextmanager
def using(setting: Setting) -> Iterator[None]:
  """Computes the convolutions traced within as `setting` says.

  Not part of jit's cache key: enter it inside the traced function, and let the setting
  be one of the function's static arguments.
  """
  token = _setting.set(setting)
  try:
    yield
  finally:
    _setting.reset(token)


@contextlib.contextmanager
def recording() -> Iterator[list[Site]]:
  """Collects the convolutions traced within."""
  sites: list[Site] = []
  token = _met.set(sites)
  try:
    yield sites
  finally:
    _met.reset(token)


def choose(kind: str, x_shape: tuple[int, ...], w_shape: tuple[int, ...]) -> str:
  """The implementation for an input [B, h, w, C] and a kernel [kh, kw, C, C']."""
  kernel, size = (w_shape[0], w_shape[1]), (x_shape[1], x_shape[2])
  site = Site(kind, kernel, size, w_shape[2], w_shape[3])
  met = _met.get()
  if met is not None and kind != 'deconv' and site not in met:
    met.append(site)
  setting = _setting.get()
  if isinstance(setting, tuple):
    tuned = dict(setting)
    if site.text in tuned:
      return tuned[site.text]
  elif setting != 'auto':
    return setting
  return _measured_or_default(site, jax.default_backend())


@functools.cache
def _measured_or_default(site: Site, backend: str) -> str:
  entries = _table().get(backend, {})
  near = min(entries, key=site.distance, default=None)
  if near is not None and site.distance(near) < math.inf:
    return entries[near]
  return _DEFAULTS.get(backend, _DEFAULTS['other'])[site.kind]


@functools.cache
def _table() -> Mapping[str, Mapping[Site, str]]:
  text = json.loads(_MEASURED.read_text())
  return {
    backend: {Site.parse(site): name for site, name in entries.items()}
    for backend, entries in text.items()
  }
