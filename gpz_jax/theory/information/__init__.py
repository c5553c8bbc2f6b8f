"""Independent estimators of I(x; z) and h(x|z), each with what it can be trusted for.

| estimator | direction | of |
| --- | --- | --- |
| `bounds.decoder_entropy` | upper bound on h(x\\|z) | what the decoder saw |
| `bounds.decoder_information` | lower, given h(x) | what the decoder saw |
| `bounds.mse_floor` | lower, given h(x\\|z) | any decoder's squared error |
| `bounds.mse_floor_factor` | neither: of two floors | z + noise |
| `mixture.mixture` | upper, held out | z + noise |
| `mixture.mixture_plug_in` | neither: in sample, as published | z + noise |
| `bounds.club` | upper, by the known channel | z + noise |
| `neural.estimate`: vclub | upper where q(z\\|x) fits | projections, noise |
| `neural.estimate`: mine, nwj, infonce | lower; infonce <= ln B | projections, noise |
| `neural.estimate`: smile | neither | projections, noise |
| `neighbours.ksg` | neither, biased towards 0 | at most 8 dimensions |
| `gaussian.gaussian_information` | neither, exact for Gaussians | projections, noise |

`kinds.direction` and `kinds.ceiling` say the same to programs; `measure` gathers all
for one split, `measure_lanes` for many; `gaussian.LinearGaussian` is the channel on
which all are checked.
"""

from gpz_jax.theory.information.measure import (
  Options,
  least_examples,
  measure,
  measure_lanes,
)
from gpz_jax.theory.information.neural import Recipe

__all__ = ['Options', 'Recipe', 'least_examples', 'measure', 'measure_lanes']
