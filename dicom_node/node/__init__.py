"""The composition root: builds the node's two services from a configuration, starts and stops them."""
