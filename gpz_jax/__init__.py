"""What does a vision model give away, by the activation it sends or by itself?

The public API, in the order of one sweep; `attacks` stands for `attacks.activation`:

  data.load                   Loads a named dataset as a Task.
  models.make                 Makes a target by name; any linen module with named blocks
                              can stand in its place.
  partition.list_splits       Lists where it can be cut; .capture, .edge, .cloud,
                              .check_cuts and .split_costs belong to it.
  targets.train               Trains one target for each treatment and seed; .evaluate.
  attacks.interception        Computes the activations that an attacker sees.
  attacks.decoders.make       Makes the decoder for an activation.
  attacks.inversion.train     Trains one decoder for each lane; .evaluate, .reconstruct.
  attacks.optimisation        Searches for images through the edge; attacks.query_free
                              through a shadow of it.
  attacks.Attack              What an attack of one's own subclasses.
  attacks.specs.parse         Makes an attack from text, as --attack takes it.
  theory.measure              Measures the paper's quantities of one target.
  zone.golden_zone            Says where inversion stops working; .recommend under
                              limits; .vote, .probe and .agreement compare the theory.
  sweep.run                   Does all of it, as `python -m experiments.sweep` does.

`model_inversion.run` is the other study, with `generators`, `attacks.model` and
`evaluators`.
"""

__version__ = '0.9.0'
