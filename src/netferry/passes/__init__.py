"""netferry passes."""
