"""Development tools: what ./dev runs."""
