"""netferry verify."""
