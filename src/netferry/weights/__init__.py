"""netferry weights."""
