"""How sure a number is: intervals for means and other estimates."""

# Half the width of a 95% interval of a normal distribution, in standard errors.
Z95 = 1.96
