"""Durations as people say them."""


def in_time(seconds: float) -> str:
    """Write a duration, as exactly as anybody wants to know it.

    >>> in_time(0.4), in_time(42.3), in_time(250), in_time(7300)
    ('under 1 s', '42 s', '4 min 10 s', '2 h 2 min')
    """
    whole = round(seconds)
    if whole < 1:
        return "under 1 s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 and whole < 600 else "")
    minutes = round(seconds / 60)
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")
