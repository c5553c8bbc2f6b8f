"""How anything is trained: one step, many lanes, epochs as compiled segments."""
