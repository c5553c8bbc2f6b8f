"""Where can a network be cut so that the activation it sends cannot be inverted?

The public API, in the order of one sweep:

  data.load                 a named dataset as a Task
  models.make               a target by name; any linen module with named blocks will do
  partition.list_splits     where it can be cut; .capture, .edge, .cloud, .check_cuts,
                            .split_costs
  targets.train             one target per label-smoothing alpha and seed; .evaluate
  attacks.decoders.make     the decoder for an activation
  attacks.inversion.train   one decoder per split, alpha and seed; .capture, .evaluate,
                            .reconstruct
  attacks.optimisation      images searched for through the edge; attacks.query_free
                            through a shadow of it
  attacks.specs.parse       an attack from text, as --attack takes it
  theory.measure            the paper's quantities of one target, split by split
  zone.golden_zone          where inversion stops working; .recommend under limits;
                            .vote, .probe and .agreement: what the theory says of it
  sweep.run                 all of it: what `python -m experiments.sweep` does
"""

__version__ = '0.1.0'
