"""What `plot`, `animation` and `report` draw and write."""
