"""What every estimator of the theory returns."""

import math
from typing import NamedTuple


class Quantity(NamedTuple):
  """A measured number with what it can be trusted for."""

  name: str
  value: float
  low: float = math.nan  # 95% interval, where there is one
  high: float = math.nan
  unit: str = ''  # nats, squared activation, ...; '' for shares and counts
  assumes: str = ''  # the noise, bits, ceiling or label convention it depends on
