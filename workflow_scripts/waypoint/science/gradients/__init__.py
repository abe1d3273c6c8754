"""Per-example gradients of draw-averaged losses."""
