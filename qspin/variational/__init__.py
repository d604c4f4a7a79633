"""What `Ritz` is made of: features, rules to integrate them by, the projected problem, training of slopes."""
