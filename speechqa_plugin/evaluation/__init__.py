"""The way any model is measured: `assess` asks it, `records` keep what came, `summary` counts."""
