"""Measurements of the package and its peers on a one-machine cluster: `./dev bench`."""
