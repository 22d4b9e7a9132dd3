import pytest

from genbench.records.metric_name import OF, is_detail, is_metric, parse, rank


def test_a_name_falls_into_kind_protocol_and_whose_images() -> None:
    name = "fid[inception,res=tf1,n=50000,ref=train,ema]"
    assert parse(name) == ("fid", "inception,res=tf1,n=50000,ref=train", "ema")
    assert is_metric(name)


@pytest.mark.parametrize(
    "name", ["fid", "fid[]", "fid[a,n=1]", "fid[a,ema", "[a,ema]", "fid[ema]", "fid[a,ema]x"]
)
def test_a_name_without_its_protocol_is_refused(name: str) -> None:
    assert not is_metric(name)
    with pytest.raises(ValueError, match="does not state its protocol"):
        parse(name)


def test_columns_stand_by_kind_then_protocol_then_ema_raw_test_with_spreads_behind() -> None:
    ordered = [
        "fid[a,n=1,ema]",
        "fid[a,n=1,raw]",
        "fid[a,n=1,test]",
        "fid[a,n=2,ema]",
        "is[a,n=1,ema]",
        "is_std[a,n=1,ema]",
        "is[a,n=1,raw]",
        "is_std[a,n=1,raw]",
        "kid[a,n=1,ema]",
        "precision[a,n=1,k=5,ema]",
        "recall[a,n=1,k=5,ema]",
        "density[a,n=1,k=5,ema]",
        "coverage[a,n=1,k=5,ema]",
        "another[a,n=1,ema]",
        "other[a,n=1,ema]",
    ]
    assert sorted(set(ordered), key=rank) == ordered


def test_of_what_counts_neighbours_only_precision_and_recall_of_ema_weights_are_no_detail() -> None:
    names = [
        f"{kind}[a,n=1,k=5,ref=train,{of}]"
        for kind in ("precision", "recall", "density", "coverage")
        for of in OF
    ]
    assert [name for name in names if not is_detail(name)] == [names[0], names[len(OF)]]
    assert not any(map(is_detail, ["fid[a,n=1,raw]", "is_std[a,n=1,test]", "density", "device"]))
