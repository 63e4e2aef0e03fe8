"""The names of PyTorch's weights: whatever stands before them, and whichever of the known networks they are of."""

import numpy as np
import pytest
from safetensors.numpy import save_file

import weights
from errors import UserError
from model.common import DIV2K_RGB_MEAN
from tests.conftest import to_numpy
from weights.unwrapping import find_state, unwrap_names

F = 4


def random(*shape):
    return np.random.default_rng(sum(shape)).normal(0, 0.1, shape).astype("float32")


def convs(shapes):
    """Returns a weight and a bias for each name, from (filters, inputs[, size])."""
    state = {}
    for name, (filters, inputs, *size) in shapes.items():
        state[f"{name}.weight"] = random(filters, inputs, *(size or [3]) * 2)
        state[f"{name}.bias"] = random(filters)
    return state


def edsr(basicsr=False):
    """Returns the state dict of a small EDSR x2 of two blocks, under the official names or BasicSR's."""
    names = (["conv_first", "body.0.conv1", "body.0.conv2", "body.1.conv1", "body.1.conv2", "conv_after_body",
              "upsample.0", "conv_last"] if basicsr else
             ["head.0", "body.0.body.0", "body.0.body.2", "body.1.body.0", "body.1.body.2", "body.2", "tail.0.0",
              "tail.1"])
    shapes = [(F, 3), *[(F, F)] * 5, (4 * F, F), (3, F)]
    state = convs(dict(zip(names, shapes, strict=True)))
    if not basicsr:
        for name, sign in (("sub_mean", -1), ("add_mean", 1)):
            state |= {f"{name}.weight": np.eye(3, dtype="float32").reshape(3, 3, 1, 1),
                      f"{name}.bias": sign * 255 * np.array(DIV2K_RGB_MEAN, "float32")}
    return state


def load(path, state):
    save_file({name: np.ascontiguousarray(array) for name, array in state.items()}, path)
    return weights.load_foreign(path)


LR = np.random.default_rng(0).integers(0, 256, (1, 6, 5, 3)).astype("float32")


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    model, _ = load(tmp_path_factory.mktemp("official") / "edsr.safetensors", edsr())
    return to_numpy(model(LR))


@pytest.mark.parametrize("basicsr", [False, True])
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "generator.", "netG.", "net_g.module.", "_orig_mod.",
                                    "params.", "ema_model.module."])
def test_the_same_edsr_under_any_name_gives_the_same_output(tmp_path, expected, prefix, basicsr):
    model, notes = load(tmp_path / "edsr.safetensors",
                        {f"{prefix}{name}": array for name, array in edsr(basicsr).items()})
    assert to_numpy(model(LR)) == pytest.approx(expected, abs=1e-4)
    assert any("BasicSR" in note for note in notes) == basicsr
    assert any("moving average" in note for note in notes) == ("ema" in prefix)


def test_a_generator_is_taken_from_among_other_networks(tmp_path, expected):
    state = {f"generator.{name}": array for name, array in edsr().items()}
    state |= {f"discriminator.{name}": array for name, array in edsr(basicsr=True).items()}
    model, _ = load(tmp_path / "gan.safetensors", state)
    assert to_numpy(model(LR)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("value", "inner", "is_average"), [
    ({"params": {"a": 1}}, {"a": 1}, False),
    ({"params": {"a": 1}, "params_ema": {"a": 2}}, {"a": 2}, True),
    ({"epoch": 3, "state_dict": {"a": 1}, "optimizer": {"state": {}}}, {"a": 1}, False),
    ({"model": {"params": {"a": 1}}}, {"a": 1}, False),
    ({"state_dict": {"a": 1}, "ema_state_dict": {"a": 2}}, {"a": 2}, True),
    ({"netG": {"a": 1}, "netD": {"a": 2}}, {"a": 1}, False),
    ({"a": 1}, {"a": 1}, False), ([1], [1], False)])
def test_the_weights_in_a_checkpoint_are_found_averages_first(value, inner, is_average):
    found, notes = find_state(value)
    assert found == inner
    assert bool(notes) == is_average


def test_what_is_no_prefix_stays():
    names = ["model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight"]  # of ESRGAN's first code
    assert unwrap_names(names)[0] == {name: name for name in names}
    assert unwrap_names([f"module.{name}" for name in names])[0] == {f"module.{name}": name for name in names}
    assert unwrap_names(["head.0.weight", "module.weight"])[0] == {name: name for name in
                                                                   ("head.0.weight", "module.weight")}


def rrdb(unshuffle=1, growth=2, ups=2):
    shapes = {"conv_first": (F, 3 * unshuffle**2), "conv_body": (F, F), "conv_hr": (F, F), "conv_last": (3, F),
              **{f"conv_up{i}": (F, F) for i in range(1, ups + 1)}}
    for dense in (1, 2, 3):
        shapes |= {f"body.0.rdb{dense}.conv{i}": (growth if i < 5 else F, F + (i - 1) * growth) for i in range(1, 6)}
    return convs(shapes)


def srvgg():
    return convs({"body.0": (F, 3), "body.2": (F, F), "body.4": (12, F)}) | {
        f"body.{i}.weight": random(F) for i in (1, 3)}


def span():
    names = ["conv_1", "conv_2", *(f"block_{i}.c{j}_r" for i in (1, 2) for j in (1, 2, 3))]
    return convs({f"{name}.eval_conv": (F, 3 if name == "conv_1" else F) for name in names}
                 | {"conv_cat": (F, 4 * F, 1), "upsampler.0": (12, F)})


def msr_resnet():
    return convs({"conv_first": (F, 3), "body.0.conv1": (F, F), "body.0.conv2": (F, F), "upconv1": (9 * F, F),
                  "conv_hr": (F, F), "conv_last": (3, F)})


@pytest.mark.parametrize(("state", "described"), [
    (rrdb, "an rrdb x4 of 1 block, 4 filters and growth 2"),
    (lambda: rrdb(unshuffle=2), "an rrdb x2 of 1 block, 4 filters and growth 2"),
    (srvgg, "an srvgg x2 of 1 block and 4 filters"),
    (span, "a span x2 of 2 blocks and 4 filters"),
    (msr_resnet, "an msr-resnet x3 of 1 block and 4 filters"),
])
def test_sizes_are_read_off_the_shapes(tmp_path, state, described):
    _, notes = load(tmp_path / "model.safetensors", state())
    assert notes[0].endswith(described)
    assert not [note for note in notes if "assumed" in note]


def edited(state, **changes):
    state = state()
    for name, array in changes.items():
        name = name.replace("__", ".")
        if array is None:
            del state[name]
        else:
            state[name] = array
    return state


@pytest.mark.parametrize(("state", "cause"), [
    (lambda: edited(rrdb, conv_first__weight=random(F, 27, 3, 3)), "takes 27 channels: 3, 12, 48 were expected"),
    (lambda: rrdb(unshuffle=4, ups=1), "1 steps of enlargement after pixels are rearranged 4 x 4"),
    (lambda: edited(rrdb, conv_hr__bias=None), "conv_hr.weight stands alone"),
    (lambda: edited(rrdb, conv_first__weight=None, conv_first__bias=None), "no tensor for the layer head"),
    (lambda: edited(rrdb, body__0__rdb1__conv2__weight=random(2, 9, 3, 3)), r"has the shape \(2, 9, 3, 3\), where"),
    (lambda: edited(rrdb, body__0__rdb1__conv1__weight=random(2)), "kernel of a convolution with its 4 axes"),
    (lambda: edited(rrdb, extra__weight=random(2)), "extra.weight of the shape .2,. has no place"),
    (lambda: edited(rrdb, conv_first__weight=random(F, 1, 3, 3)), "images of 1 colour"),
    (lambda: edited(srvgg, body__3__weight=random(F + 1)), r"body.3.weight has the shape \(1, 1, 5\)"),
    (lambda: edited(srvgg, body__3__bias=random(F)), "not that of a PReLU"),
    (lambda: edited(srvgg, body__4__weight=random(13, F, 3, 3)), "13 filters, where .* 3 .x1., 12 .x2., 27 .x3."),
    (lambda: edited(span, conv_cat__weight=random(F, F, 1, 1)), "conv_cat.weight has the shape"),
    (lambda: edited(span, block_1__c1_r__sk__weight=random(F, F, 1, 1)), "no tensor block_1.c1_r.sk.bias"),
    (lambda: edited(msr_resnet, upconv1__weight=random(5 * F, F, 3, 3)), "20 filters, where a network of the kind"),
])
def test_tensors_that_do_not_fit_are_named(tmp_path, state, cause):
    with pytest.raises(UserError, match=rf"model\.safetensors: .*{cause}"):
        load(tmp_path / "model.safetensors", state())


OTHERS = {
    "SwinIR": ["layers.0.residual_group.blocks.0.attn.relative_position_bias_table", "conv_first.weight"],
    "Swin2SR": ["layers.0.residual_group.blocks.0.attn.logit_scale",
                "layers.0.residual_group.blocks.0.attn.relative_position_bias_table"],
    "HAT": ["layers.0.residual_group.blocks.0.conv_block.cab.0.weight",
            "layers.0.residual_group.blocks.0.attn.relative_position_bias_table"],
    "DAT": ["before_RG.1.weight", "layers.0.blocks.0.norm1.weight"],
    "RCAN": ["head.0.weight", "tail.1.weight", "body.0.body.0.body.3.conv_du.0.weight", "body.0.body.0.body.0.weight"],
    "OmniSR": ["residual_layer.0.residual_layer.0.layer.0.fn.0.weight", "input.weight"],
    "ESRGAN+": ["model.0.weight", "model.1.sub.0.RDB1.conv1x1.weight", "model.1.sub.0.RDB1.conv1.0.weight"],
    "PLKSR": ["feats.0.weight", "feats.1.lk.conv.weight"],
    "Compact (SRVGG) with an activation": ["body.0.weight", "body.2.weight", "body.4.weight"],
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_networks_are_named_as_what_they_are(tmp_path, name):
    with pytest.raises(UserError) as error:
        load(tmp_path / "model.safetensors", {f"module.{key}": random(2, 2) for key in OTHERS[name]})
    assert f"model.safetensors: is a network of another kind, {name}" in str(error.value)
    assert "ESRGAN (RRDB), SPAN, WDSR, EDSR, MSRResNet, Compact (SRVGG) are read" in str(error.value)


def test_a_network_that_nobody_knows_is_told_by_its_names(tmp_path):
    with pytest.raises(UserError, match=r"of no network that is known here: .* are named mystery\.weight, \.\."):
        load(tmp_path / "model.safetensors", {"mystery.weight": random(2)})


def test_how_many_blocks_another_network_has_is_told(tmp_path):
    names = [f"layers.{i}.residual_group.blocks.0.attn.relative_position_bias_table" for i in range(6)]
    with pytest.raises(UserError, match="SwinIR of 6 blocks"):
        load(tmp_path / "model.safetensors", {name: random(2) for name in names})
