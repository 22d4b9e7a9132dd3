import pytest

from genbench.records.metric_name import OF, MetricName, is_metric, rank


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (
            "fid[inception,res=tf1,n=50000,ref=train,ema]",
            MetricName("fid", "inception,res=tf1", 50000, "train", "ema"),
        ),
        (
            "kid_low[digits-cnn-v1,n=359,subsets=100x359,ref=test,raw]",
            MetricName("kid_low", "digits-cnn-v1", 359, "test", "raw", ("subsets=100x359",)),
        ),
        ("is[x,n=9,splits=3,test]", MetricName("is", "x", 9, None, "test", ("splits=3",))),
        (
            "fid_class[x,n=9,class=3,ref=train,ema]",
            MetricName("fid_class", "x", 9, "train", "ema", ("class=3",)),
        ),
        ("fid[x,given]", MetricName("fid", "x", None, None, "given")),
    ],
)
def test_a_name_is_read_into_its_fields_and_written_back(text: str, name: MetricName) -> None:
    assert is_metric(text)
    assert MetricName.parse(text) == name
    assert str(name) == text


@pytest.mark.parametrize(
    "text",
    [
        "fid[n=3,ema]",
        "fid[ref=train,ema]",
        "fid[a,n=007,ema]",
        "fid[a,n=1,n=2,ref=,ema]",
        "fid[a,ref=train,n=1,ema]",
        "x,y[,,n=٣,\n,raw]",
        f"fid[a,n={'9' * 40},ref=b,ref=c,test]",
    ],
)
def test_names_that_nobody_here_writes_are_read_without_loss(text: str) -> None:
    assert str(MetricName.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["fid", "fid[]", "fid[a,n=1]", "fid[a,ema", "[a,ema]", "fid[ema]", "fid[a,ema]x"]
)
def test_a_name_without_its_protocol_is_refused(text: str) -> None:
    assert not is_metric(text)
    with pytest.raises(ValueError, match="does not state its protocol"):
        MetricName.parse(text)


def test_samples_of_unknown_origin_are_refused() -> None:
    with pytest.raises(ValueError, match="choose from ema, best, raw, given, test"):
        MetricName("fid", "x", 1, "train", "median")


def test_a_spread_names_its_value_and_a_value_its_spreads() -> None:
    value = MetricName.parse("fid[a,n=1,ref=train,ema]")
    low = MetricName.parse("fid_low[a,n=1,ref=train,ema]")
    assert (value.spread, low.spread, low.value_kind) == ("", "_low", "fid")
    assert value.beside("_low") == low
    assert low.beside("") == value
    assert str(low.of_images("test")) == "fid_low[a,n=1,ref=train,test]"


def test_basis_details_and_settings_are_the_parts_of_a_protocol() -> None:
    name = MetricName.parse("kid[inception,res=tf1,n=359,subsets=100x359,ref=test,raw]")
    assert name.basis == "inception,res=tf1,n=359"
    assert name.details == ("subsets=100x359", "ref=test")
    assert (name.setting("subsets"), name.setting("res"), name.setting("ref")) == ("100x359", None, None)


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


def test_ends_of_intervals_single_classes_density_and_coverage_are_details() -> None:
    def is_detail(kind: str, part: str = "") -> bool:
        return MetricName.parse(f"{kind}[a,n=1,{part}ref=train,ema]").is_detail()

    kinds = ["fid", "precision", "recall", "is_std", "another"]
    assert not any(map(is_detail, kinds))
    assert all(map(is_detail, ["density", "coverage", "density_low", "fid_low", "fid_high", "fid_se"]))
    assert is_detail("fid_class", "class=3,")
    assert not is_detail("fid_class", "classes=3,")


@pytest.mark.parametrize("of", OF)
def test_a_name_is_a_key_that_equal_fields_share(of: str) -> None:
    assert {MetricName("fid", "x", 1, None, of): 1}[MetricName.parse(f"fid[x,n=1,{of}]")] == 1
