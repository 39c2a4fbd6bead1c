"""Measures the seconds of importing all that a program needs first."""

from common import main, timed


def stock():
    import rados  # noqa: F401
    import rbd  # noqa: F401


def ours():
    import rbd  # noqa: F401


def run(which, pool):
    return {"value": timed(stock if which == "stock" else ours)}


if __name__ == "__main__":
    main(run)
