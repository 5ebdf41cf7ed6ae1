"""Sizes in bytes, as people read them."""


def format_bytes(count: int) -> str:
    """Return *count* bytes, rounded, in the largest unit of which there is at least one."""
    units = ("bytes", "KiB", "MiB", "GiB", "TiB")
    power = min((max(count, 1).bit_length() - 1) // 10, len(units) - 1)
    return f"{count / 1024**power:.{1 if power else 0}f} {units[power]}"
