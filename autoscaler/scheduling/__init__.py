"""Bin-packing: demand, nodes, node types and limits to launches. Pure."""
