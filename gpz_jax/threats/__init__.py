"""Both threats to the same targets: which treatment protects against which of them."""

from gpz_jax.threats.alike import Study, join
from gpz_jax.threats.conclusion import Conclusion, conclude
from gpz_jax.threats.crossing import Crossed, Crossing, Effect, cross
from gpz_jax.threats.tables import CHANGE, LINES, format_crossed, list_lines

__all__ = [
  'CHANGE',
  'LINES',
  'Conclusion',
  'Crossed',
  'Crossing',
  'Effect',
  'Study',
  'conclude',
  'cross',
  'format_crossed',
  'join',
  'list_lines',
]
