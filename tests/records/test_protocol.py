"""Metric names are written here and read by the report."""

import pytest

from genbench.metrics import metric_name
from genbench.records.metric_name import parse


def test_names_are_those_of_the_protocol() -> None:
    assert (
        metric_name("fid", "inception,res=tf1", n=50000, of="ema")
        == "fid[inception,res=tf1,n=50000,ref=train,ema]"
    )
    assert (
        metric_name("kid", "digits-cnn-v1", n=359, ref="test", of="raw", extra=("subsets=100x359",))
        == "kid[digits-cnn-v1,n=359,subsets=100x359,ref=test,raw]"
    )
    assert metric_name("is", "x", n=9, ref=None, of="test", extra=("splits=3",)) == "is[x,n=9,splits=3,test]"


@pytest.mark.parametrize("of", ["ema", "raw", "test"])
def test_the_report_reads_back_what_is_written(of: str) -> None:
    parts = parse(metric_name("fid", "inception,res=tf1,grey", n=7, of=of))
    assert parts == ("fid", "inception,res=tf1,grey,n=7,ref=train", of)


def test_samples_of_unknown_origin_are_refused() -> None:
    with pytest.raises(ValueError, match="legal are ema, raw, given, test"):
        metric_name("fid", "x", n=1, of="best")
