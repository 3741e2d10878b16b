"""Five networks in PyTorch, and what netferry makes of them."""
