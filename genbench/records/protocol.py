"""The one writer of metric names; `genbench.records.metric_name` is their one reader."""

from genbench.records.metric_name import OF

__all__ = ["metric_name"]


def metric_name(
    metric: str,
    extractor_protocol: str,
    *,
    n: int,
    ref: str | None = "train",
    of: str,
    extra: tuple[str, ...] = (),
) -> str:
    """A metric with all that makes two values of it comparable: fid[digits-cnn-v1,n=359,ref=train,ema].

    `ref` is the reference split, None where there is none; `extra` stands behind n.
    Raises ValueError on another `of`.
    """
    if of not in OF:
        raise ValueError(f"of is {of!r}; legal are {', '.join(OF)}")
    reference = () if ref is None else (f"ref={ref}",)
    return f"{metric}[{','.join((extractor_protocol, f'n={n}', *extra, *reference, of))}]"
