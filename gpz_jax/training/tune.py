"""Measures which implementation of each convolution is fastest on this machine."""

import functools
import json
import pathlib
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from gpz_jax import atomic, filenames
from gpz_jax.models import choices, convolutions, upsampling
from gpz_jax.models.choices import Site, Table
from gpz_jax.training.engine import Engine

STEPS, REPEATS = 2, 3
HOPELESS = 3.0  # what takes so many times as long as the fastest is timed only once
# Inside compiled loops on CPU these take seconds, see `convolutions`; they come last.
_SLOW_ON_CPU = {'dense': ('lax',), 'upsample': ('lax', 'subpixel', 'canonical')}


def find_sites(model: nn.Module, shape: tuple[int, ...]) -> list[Site]:
  """The convolutions that `model` computes for one example of `shape`."""
  example = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
  with choices.recording() as met:
    jax.eval_shape(model.init, jax.random.key(0), example)
  return met


def likely_ways(kind: str) -> tuple[str, ...]:
  """The implementations that may be the fastest on this backend."""
  slow = _SLOW_ON_CPU[kind] if jax.default_backend() == 'cpu' else ()
  return tuple(way for way in choices.KNOWN[kind] if way not in slow)


def unlikely_ways(kind: str) -> tuple[str, ...]:
  """The implementations that are hardly the fastest on this backend."""
  likely = likely_ways(kind)
  return tuple(way for way in choices.KNOWN[kind] if way not in likely)


def make_step(site: Site, way: str, engine: Engine) -> Callable[..., Any]:
  """Makes training steps of one convolution: forward pass and both gradients.

  Args:
    site: The convolution.
    way: Its implementation.
    engine: A resolved engine, of which strategy and precision are used.

  Returns:
    The jitted function of lanes (x [L, B, h, w, C], w [L, kh, kw, C, C2]) and a number
    of steps, which are taken in a compiled loop, as in training.
  """
  function = _convolution(site, way)

  def train(lane, steps):
    def step(_, lane):
      gradient = jax.grad(lambda lane: jnp.sum(jnp.square(function(*lane))))(lane)
      return jax.tree.map(
        lambda a, g: a - jnp.asarray(1e-9, a.dtype) * g, lane, gradient
      )

    return lax.fori_loop(0, steps, step, lane)

  return jax.jit(engine.over_lanes(train))


def make_lanes(site: Site, engine: Engine, lanes: int, batch: int) -> Any:
  """Makes up inputs and kernels for `make_step`."""
  dtype = jnp.dtype(engine.precision)
  kernel = (*site.kernel, site.c_in, site.c_out)
  return (
    jnp.ones((lanes, batch, *site.size, site.c_in), dtype),
    jnp.full((lanes, *kernel), 1e-2, dtype),
  )


def _convolution(site: Site, way: str) -> Callable[[jax.Array, jax.Array], jax.Array]:
  if site.kind == 'upsample':
    return functools.partial(upsampling.upsample, implementation=way)
  (top, bottom), (left, right) = (((k - 1) // 2, k // 2) for k in site.kernel)
  pads = ((top, bottom), (left, right))
  return functools.partial(convolutions.convolve, padding=pads, implementation=way)


def tune(
  sites: Iterable[Site],
  engine: Engine,
  *,
  lanes: int,
  batch: int,
  cache: pathlib.Path | None = None,
  on_progress: Callable[[Site, dict[str, float]], None] = lambda site, seconds: None,
) -> Table:
  """Measures which implementation of each convolution is the fastest.

  Args:
    sites: The convolutions.
    engine: A resolved engine.
    lanes: How many lanes run together; where they run in turn, one is measured.
    batch: The number of examples of a step.
    cache: A JSON file of earlier measurements on this machine, read and added to.
    on_progress: Called with each site that was measured and the seconds of a step by
      each implementation.

  Returns:
    (site, implementation) of every site.
  """
  if engine.strategy == 'map':
    lanes = 1
  known = _read(cache)
  key = '|'.join(
    (
      jax.devices()[0].device_kind,
      jax.__version__,
      engine.strategy,
      engine.precision,
      f'{lanes} lanes',
      f'batch {batch}',
    )
  )
  chosen = known.get(key, {})
  table = []
  for site in dict.fromkeys(sites):
    if chosen.get(site.text) not in choices.KNOWN[site.kind]:
      seconds = _measure(site, engine, lanes, batch)
      on_progress(site, seconds)
      chosen[site.text] = min(seconds, key=seconds.__getitem__)
      if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_json(cache, {**_read(cache), key: chosen}, shared=True)
    table.append((site.text, chosen[site.text]))
  return tuple(table)


def _measure(site: Site, engine: Engine, lanes: int, batch: int) -> dict[str, float]:
  """The median seconds of a step, by implementation."""
  seconds: dict[str, float] = {}
  arguments = make_lanes(site, engine, lanes, batch)
  # The likely ones come first: only then are hopeless ones seen to be so.
  for way in (*likely_ways(site.kind), *unlikely_ways(site.kind)):
    run = make_step(site, way, engine)
    _time(run, arguments, 1)  # compiles
    took = _time(run, arguments, 1)
    if took < HOPELESS * min(seconds.values(), default=took):
      took = statistics.median(_time(run, arguments, STEPS) for _ in range(REPEATS))
    seconds[way] = took
  return seconds


def _time(run: Callable[..., Any], arguments: Any, steps: int) -> float:
  began = time.perf_counter()
  jax.block_until_ready(run(arguments, steps))
  return (time.perf_counter() - began) / steps


def default_cache() -> pathlib.Path:
  """Where measurements are kept: $XDG_CACHE_HOME/gpz_jax/tuned.json."""
  return filenames.user_cache() / 'tuned.json'


def _read(cache: pathlib.Path | None) -> dict[str, dict[str, str]]:
  """What was measured before; an unreadable file counts as nothing measured."""
  try:
    found = json.loads(cache.read_text()) if cache is not None else {}
  except (OSError, ValueError, RecursionError):
    return {}
  if not isinstance(found, dict):
    return {}
  return {key: value for key, value in found.items() if isinstance(value, dict)}
