"""Makes an export, import or merge as a program that does nothing else. Its whole time counts."""

from common import connected, main, opened, peak


def run(which, pool, name, call, path, options, second=None):
    from rbd import transfer

    if call == "merge_diff":
        transfer.merge_diff(name, second, path, **options)
    elif call == "import_image":
        with connected(which, pool) as ioctx:
            # Without a path, the data comes from a pipe.
            transfer.import_image(0 if path is None else path, ioctx, name, **options)
    elif call == "import_diff":
        with opened(which, pool, name) as (image,):
            transfer.import_diff(path, image, **options)
    else:
        with opened(which, pool, name, read_only=True) as (image,):
            getattr(transfer, call)(image, path, **options)
    return {"peak": peak()}


if __name__ == "__main__":
    main(run)
