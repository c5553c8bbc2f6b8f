"""Transposed convolutions by minimal filtering: fewer multiplications, more additions.

Winograd, Arithmetic Complexity of Computations, 1980; for networks Lavin and Gray,
arXiv:1509.09308. The transposed convolution of kernel 4 and stride 2 is a convolution
of two taps for each output phase; F(2, 2) makes two neighbouring outputs of one with
three multiplications in place of four. Along one axis a tile is the inputs
b, c = x[2t], x[2t + 1] with their neighbours a before and d after; its four outputs
take six products of five terms:

  p0 = (a - b) w3
  p1 = b (w1 + w3)      y[4t]     = p0 + p1
  p2 = (b - c) -w1      y[4t + 1] = p3 + p4
  p3 = (b - c) w2       y[4t + 2] = p1 + p2
  p4 = c (w0 + w2)      y[4t + 3] = p4 + p5
  p5 = (d - c) w0

The two phases share a term. Along both axes that is 36 products of 25 terms for sixteen
outputs, which would take 64; no factor but 1 and -1 is involved, so little is rounded.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

# The products that each of the five terms of an axis takes part in.
_PRODUCTS = ((0,), (1,), (2, 3), (4,), (5,))


@jax.custom_vjp
def upsample(x: jax.Array, w: jax.Array) -> jax.Array:
  """The transposed convolution, kernel 4, stride 2, padding 1.

  Args:
    x: [B, h, w, C].
    w: [4, 4, C, C'].

  Returns:
    [B, 2h, 2w, C'].
  """
  y = _even(x)
  kernels = _kernels(w)
  products = _grid()
  # A term that several products share is multiplied once by their kernels side by side:
  # one large product is faster than several small ones.
  for places, term in _placed_terms(y):
    together = _rows(term) @ _beside(kernels, places)
    together = together.reshape(*term.shape[:-1], -1)
    _spread(products, places, together)
  y = _outputs([_outputs(row, axis=2) for row in products], axis=1)
  return y[:, : 2 * x.shape[1], : 2 * x.shape[2]]


def _forward(x, w):
  return upsample(x, w), (x, w)


def _backward(residuals, dy):
  x, w = residuals
  kernels = _kernels(w)
  dproducts = [
    _output_gradients(row, axis=2) for row in _output_gradients(_even(dy, 4), axis=1)
  ]
  dkernels = _grid()
  dterms = []
  for places, term in _placed_terms(_even(x)):
    dproduct = _rows(_beside(dproducts, places))
    dterms.append((dproduct @ _beside(kernels, places).T).reshape(term.shape))
    _spread(dkernels, places, _rows(term).T @ dproduct)
  # The terms come in reading order of their 5x5 grid: fold columns first, then rows.
  rows = [_term_gradients(dterms[i : i + 5], axis=2) for i in range(0, 25, 5)]
  dx = _term_gradients(rows, axis=1)[:, : x.shape[1], : x.shape[2]]
  return dx, _kernel_gradients([_kernel_gradients(row) for row in dkernels])


upsample.defvjp(_forward, _backward)


def interleave(parts: Sequence[jax.Array], axis: int) -> jax.Array:
  """parts[0][0], parts[1][0], ..., parts[0][1], ... along `axis`."""
  shape = parts[0].shape
  together = jnp.stack(parts, axis + 1)
  return together.reshape(*shape[:axis], -1, *shape[axis + 1 :])


def _phases(x: jax.Array, count: int, axis: int) -> list[jax.Array]:
  """The inverse of `interleave`."""
  x = x.reshape(*x.shape[:axis], -1, count, *x.shape[axis + 1 :])
  return [lax.index_in_dim(x, i, axis + 1, keepdims=False) for i in range(count)]


def _even(x: jax.Array, multiple: int = 2) -> jax.Array:
  """x with zeros after it, so that height and width are whole tiles."""
  after_h, after_w = (-size % multiple for size in x.shape[1:3])
  return jnp.pad(x, ((0, 0), (0, after_h), (0, after_w), (0, 0)))


def _rows(x: jax.Array) -> jax.Array:
  return x.reshape(-1, x.shape[-1])


def _grid() -> list[list[Any]]:
  """A place for each product of a tile, [6][6]."""
  return [[None] * 6 for _ in range(6)]


def _beside(grid: Sequence[Sequence[jax.Array]], places) -> jax.Array:
  return jnp.concatenate([grid[i][j] for i, j in places], axis=-1)


def _spread(grid: list[list[Any]], places, together: jax.Array) -> None:
  """The inverse of `_beside`."""
  parts = jnp.split(together, len(places), axis=-1)
  for (i, j), part in zip(places, parts, strict=True):
    grid[i][j] = part


def _placed_terms(x: jax.Array):
  """Each of the 25 terms [B, h / 2, w / 2, C], with the places of its products."""
  for rows, row in zip(_PRODUCTS, _terms(x, axis=1), strict=True):
    for columns, term in zip(_PRODUCTS, _terms(row, axis=2), strict=True):
      yield [(i, j) for i in rows for j in columns], term


def _shift(x: jax.Array, axis: int, by: int) -> jax.Array:
  """x moved by one place (1 or -1) along `axis`, a zero in the gap."""
  pads = [(by, -by, 0) if a == axis else (0, 0, 0) for a in range(x.ndim)]
  return lax.pad(x, jnp.zeros((), x.dtype), pads)


def _terms(x: jax.Array, axis: int) -> list[jax.Array]:
  """The five terms of each tile along an axis, as in the module's table."""
  b, c = _phases(x, 2, axis)
  a, d = _shift(c, axis, 1), _shift(b, axis, -1)
  return [a - b, b, b - c, c, d - c]


def _term_gradients(dterms: Sequence[jax.Array], axis: int) -> jax.Array:
  """The transpose of `_terms`; a shifted term goes back by the opposite shift."""
  ab, b, bc, c, dc = dterms
  db = b + bc - ab + _shift(dc, axis, 1)
  dc = c - bc - dc + _shift(ab, axis, -1)
  return interleave([db, dc], axis)


def _outputs(p: Sequence[jax.Array], axis: int) -> jax.Array:
  """The four outputs of each tile from its six products."""
  return interleave([p[0] + p[1], p[3] + p[4], p[1] + p[2], p[4] + p[5]], axis)


def _output_gradients(dy: jax.Array, axis: int) -> list[jax.Array]:
  """The transpose of `_outputs`."""
  y0, y1, y2, y3 = _phases(dy, 4, axis)
  return [y0, y0 + y2, y2, y1, y1 + y3, y3]


def _kernels(w: jax.Array) -> list[list[jax.Array]]:
  """The kernels [C, C'] of the products, [6][6]."""

  def of_axis(w):
    w0, w1, w2, w3 = (w[i] for i in range(4))
    return [w3, w1 + w3, -w1, w2, w0 + w2, w0]

  return [of_axis(row) for row in of_axis(w)]


def _kernel_gradients(k: Sequence[jax.Array]) -> jax.Array:
  """The transpose of `_kernels` along one axis."""
  return jnp.stack([k[4] + k[5], k[1] - k[2], k[3] + k[4], k[0] + k[1]])
