"""Tests of one kind, of which `make test` runs some; CI and `make test-all` run all."""

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

# A net of each form; deeper nets are made of the same blocks.
NETS = (
  *('cnn', 'vgg11', 'ir50', 'resnet18', 'resnet50', 'densenet121', 'repvgg_a0', 'vit6'),
  *('vit_b_16', 'efficientnet_b0', 'maxvit_t', 'inception_v3'),
)


def each(values: Iterable[Any], quick: Sequence[Any] = NETS) -> list[Any]:
  """Parameters of a test, of which those that are not quick are left to CI."""
  return [v if v in quick else pytest.param(v, marks=pytest.mark.ci) for v in values]
