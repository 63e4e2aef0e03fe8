from pathlib import Path

import pytest

from datasets.pairing import pair_all, pair_by_name, pair_by_order, without_lr
from errors import UserError


def paths(folder, *names):
    return [Path(folder) / name for name in names]


def names_of(pairs):
    return {hr.name: lr.name for hr, lr in pairs}


@pytest.mark.parametrize(("hr", "lr", "scale"), [
    (["baby.png", "bird.png"], ["baby.png", "bird.png"], 4),
    (["baby.png"], ["baby.jpg"], 4),
    (["box2.png", "box3.png"], ["box2x4.png", "box3x4.png"], 4),
    (["1.png", "2.png", "10.png"], ["1_bicLRx4.png", "2_bicLRx4.png", "10_bicLRx4.png"], 4),
    (["img_001_SRF_4_HR.png"], ["img_001_SRF_4_LR.png"], 4),
    (["baby_HR_x4.png"], ["baby_LRBI_x4.png"], 4),
    (["0801.png"], ["0801x8.png"], 8),
    (["0801.png"], ["0801x4m.png"], 4),
    (["0801.png"], ["0801x4d.png"], 4),
    (["a.png", "a.jpg"], ["a.png", "a.jpg"], 2),
    (["x2.png", "boxx2.png"], ["x2.png", "boxx2x2.png"], 2),
])
def test_images_are_paired_by_name(hr, lr, scale):
    pairs, left_over = pair_all(paths("HR", *hr), paths("LR", *reversed(lr)), scale)
    assert names_of(pairs) == dict(zip(hr, lr, strict=True))
    assert left_over == []


def test_equal_names_go_before_what_is_added():
    pairs, left_over = pair_all(paths("HR", "a.png", "a_x4.png"), paths("LR", "a.png", "a_x4.png", "a_x4x4.png"), 4)
    assert names_of(pairs) == {"a.png": "a.png", "a_x4.png": "a_x4.png"}
    assert [path.name for path in left_over] == ["a_x4x4.png"]


def test_a_number_that_is_not_the_scale_belongs_to_the_name():
    with pytest.raises(UserError, match=r"LR: no image is named after box\.png at scale 4"):
        pair_all(paths("HR", "box.png"), paths("LR", "boxx2.png"), 4)


@pytest.mark.parametrize(("hr", "lr", "named"), [
    (["a.png", "b.png"], ["a.png", "c.png"], r"no image is named after b\.png"),
    (["a.png"], ["a_LR.png", "a_bicubic.png"], r"HR/a\.png: fits a_LR\.png, a_bicubic\.png equally well"),
    (["a_HR.png", "a_GT.png"], ["a_LR.png"], r"LR/a_LR\.png: fits a_GT\.png, a_HR\.png equally well"),
    (["0801.png"], ["0801x4w1.png", "0801x4w2.png"], r"HR/0801\.png: fits 0801x4w1\.png, 0801x4w2\.png equally well"),
    (["Baby.png"], ["baby.png"], r"HR/Baby\.png: differs from baby\.png only in upper and lower case"),
    (["a.png"], [], r"no image is named after a\.png"),
])
def test_what_does_not_fit_is_an_error_that_names_the_file(hr, lr, named):
    with pytest.raises(UserError, match=named):
        pair_all(paths("HR", *hr), paths("LR", *lr), 4)


def test_images_without_a_partner_are_listed():
    pairs, lonely, left_over = pair_by_name(paths("HR", "a.png", "b.png"), paths("LR", "a_x3.png", "c.png"), 3)
    assert names_of(pairs.items()) == {"a.png": "a_x3.png"}
    assert [path.name for path in lonely] == ["b.png"]
    assert [path.name for path in left_over] == ["c.png"]


def test_order_pairs_equal_numbers_only():
    assert names_of(pair_by_order(paths("HR", "a", "b"), paths("LR", "1", "2"))) == {"a": "1", "b": "2"}
    with pytest.raises(UserError, match="2 high-resolution and 1 low-resolution images"):
        pair_by_order(paths("HR", "a", "b"), paths("LR", "1"))


@pytest.mark.parametrize(("names", "lr"), [
    (["i_SRF_4_HR.png", "i_SRF_4_LR.png"], ["i_SRF_4_LR.png"]),
    (["i.png", "i_LRBI_x4.png", "k_LR.png"], ["i_LRBI_x4.png"]),
    (["a.png", "b_LR.png", "ax2.png"], []),
])
def test_low_resolution_versions_beside_their_originals_are_left_out(names, lr):
    kept, left_out = without_lr(paths("both", *names))
    assert [path.name for path in left_out] == lr
    assert sorted(path.name for path in kept) == sorted(set(names) - set(lr))
