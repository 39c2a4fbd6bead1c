"""The stock module and ours, side by side on one cluster."""
