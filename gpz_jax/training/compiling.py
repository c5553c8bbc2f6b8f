"""How long XLA works on a program, which depends on how long the program will run.

On CPU, XLA has an older emitter of loops beside the usual one. It compiles in a little
over half of the time, and steps of decoders then take 10 to 20% longer
(docs/performance.md). So it pays for what runs for seconds, and not for what runs for
minutes. Evaluations and forward passes always get it: they are a few percent of a long
training.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax

# Operations of one lane below which a training counts as brief: some ten seconds of
# two cores. A program may hold several lanes, but under `map` their number must not
# change the bits of one.
BRIEF_FLOPS = 1e12

Options = dict[str, str | bool | int | float] | None
_OLDER_EMITTER: Options = {'xla_cpu_use_fusion_emitters': False}


@functools.cache
def brief_options() -> Options:
  """The compiler options of a program that runs for seconds; None for the usual ones.

  Accelerators, and an XLA that has one emitter alone, get the usual ones.
  """
  if jax.default_backend() != 'cpu':
    return None
  probe = jax.jit(lambda x: x + 1, compiler_options=_OLDER_EMITTER)
  try:
    probe(0)
  except jax.errors.JaxRuntimeError:
    return None
  return _OLDER_EMITTER


def options_for(flops: float) -> Options:
  """The compiler options of a program that does so much for each of its lanes.

  Args:
    flops: Operations of one lane, over all runs of the program.
  """
  return brief_options() if flops < BRIEF_FLOPS else None


def brief_jit(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
  """A `jax.jit` for what runs for seconds: it compiles faster and runs a bit slower.

  Args:
    **options: Further arguments of `jax.jit`.

  Returns:
    A decorator.
  """

  def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.cache
    def compiled():  # not before it is called, because the backend decides
      return jax.jit(function, compiler_options=brief_options(), **options)

    @functools.wraps(function)
    def call(*args):
      return compiled()(*args)

    return call

  return decorate
