"""The stock module and this one, compared on one cluster."""
