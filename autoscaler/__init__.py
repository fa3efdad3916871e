"""The Ray side: node types, demand and the node-provider abstraction."""
