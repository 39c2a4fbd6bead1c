"""Measures the package beside its peers on a one-machine cluster: `./dev bench`."""
