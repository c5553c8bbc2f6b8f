"""Picks from tests of one kind those that `make test` runs."""

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

# These nets have every kind of block; the other nets are deeper or wider.
NETS = (
  *('cnn', 'vgg11', 'ir50', 'resnet18', 'resnet50', 'densenet121', 'repvgg_a0', 'vit6'),
  *('vit_b_16', 'efficientnet_b0', 'maxvit_t', 'inception_v3'),
)


def each(
  values: Iterable[Any],
  quick: Sequence[Any] = NETS,
  others: pytest.MarkDecorator = pytest.mark.ci,
) -> list[Any]:
  """Parameters of a test, of which those that are not `quick` get a mark."""
  return [v if v in quick else pytest.param(v, marks=others) for v in values]
