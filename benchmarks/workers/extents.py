"""Measures the seconds of a diff."""

from common import main, opened, timed


def run(which, pool, name, call, whole_object=False):
    with opened(which, pool, name) as (image,):
        size = image.size()
        found = []
        seconds = timed(
            (lambda: found.append(image.diff(whole_object=whole_object)))
            if call == "diff"
            else lambda: image.diff_iterate(
                0,
                size,
                None,
                lambda offset, length, exists: found.append((offset, length, exists)),
                True,
                whole_object,
            )
        )
        assert found
    return {"value": seconds}


if __name__ == "__main__":
    main(run)
