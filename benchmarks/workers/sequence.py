"""Measures bytes per second of consecutive reads, from the start of an image to its end."""

from common import main, opened, timed


def run(which, pool, name, block, how):
    """`how`: `file`, a file object's read(); `call`, the image's own."""
    with opened(which, pool, name, read_only=True) as (image,):
        size = image.size()

        def by_file():
            with image.open_file("rb") as file:
                while file.read(block):
                    pass

        def by_call():
            for place in range(0, size, block):
                image.read(place, block)

        return {"value": size / timed(by_file if how == "file" else by_call)}


if __name__ == "__main__":
    main(run)
