"""Exports an image or a diff, as a program does that does nothing else; its whole time counts."""

from common import main, opened, peak


def run(which, pool, name, call, path, options):
    from rbd import transfer

    with opened(which, pool, name, read_only=True) as (image,):
        getattr(transfer, call)(image, path, **options)
    return {"peak": peak()}


if __name__ == "__main__":
    main(run)
