"""What PyTorch code does by habit, devices, checkpoints and frozen parameters, and what becomes of it in Keras."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import pytest

import netferry

HEAD = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\nfrom torch.utils import model_zoo\n\n\n"


@functools.cache
def migrated(body: str, *inputs: str, to: str = "keras", call: str | None = None, head: str = HEAD) -> Any:
    """The migration of a file with the class ``Net``."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "net.py"
        file.write_text(head + body)
        return netferry.migrate(file, entry=None if call else "Net", call=call, to=to, inputs=list(inputs))


def codes(made: Any) -> list[str]:
    """The codes of all diagnostics that are more than information."""
    return [d.code for d in made.diagnostics if d.severity != "info"]


DEVICES = """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
        self.a = nn.Linear(8, 6).to(device)

    def forward(self, x):
        if (x.is_cuda or x.is_xpu) and not torch.jit.is_tracing():
            x = nn.parallel.data_parallel(self.a, x, range(2))
        else:
            x = self.a(x)
        if x.device.type == "mps":
            x = x.cpu()
        with torch.device(x.device):
            y = torch.arange(6)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(x)
        return x + y
"""


def test_questions_about_devices_are_answered() -> None:
    made = migrated(DEVICES, "4x8")
    body = made.code.partition("def call")[2]
    assert "if " not in body and "with " not in body and "device" not in made.code
    assert made.status == 0, made.verification.reason


DROPPED = """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rows = nn.Dropout1d(0.3)
        self.values = nn.Dropout2d(0.3)
        self.channels = nn.Dropout2d(0.1)

    def forward(self, x, y):
        return F.dropout2d(self.values(self.rows(x)), 0.2, self.training), self.channels(y)
"""


def test_dropout_of_channels_goes_by_the_axes_of_its_input() -> None:
    code = migrated(DROPPED, "4x8", "2x3x7").code
    assert "self.rows = layers.Dropout(0.3, noise_shape=(None, 1))" in code
    assert "self.values = layers.Dropout(0.3)" in code
    assert "self.channels = layers.SpatialDropout1D(0.1)" in code
    assert "keras.random.dropout(" in code and "noise_shape=(ops" not in code


FROZEN = """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 6))
        self.b = nn.Linear(6, 6)
        self.c = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6))
        self.scale = nn.Parameter(torch.ones(6))
        self.scale.requires_grad = False
        for p in self.a.parameters():
            p.requires_grad = False
        self.b.requires_grad_(False)
        for p in self.c.parameters():
            p.requires_grad_(False)

    def forward(self, x):
        return self.c(self.b(self.a(x) * self.scale))
"""


def test_frozen_parameters_stay_frozen() -> None:
    made = migrated(FROZEN, "4x8")
    for name in ("a", "b", "scale"):
        assert f"self.{name}.trainable = False" in made.code
    assert made.verification.passed, made.verification.reason


def test_freezing_batch_normalisation_is_left_out_and_told() -> None:
    made = migrated(FROZEN, "4x8")
    assert "self.c.trainable" not in made.code and codes(made) == ["NF031"]
    (note,) = (n for n in made.verification.notes if n.startswith("frozen in the source"))
    assert note.endswith("c.0.weight, c.0.bias, c.1.weight, c.1.bias")


LOADED = """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(8, 6)

    def forward(self, x):
        return self.a(x)


def net(pretrained=True):
    model = Net()
    if pretrained:
        state = model_zoo.load_url("https://example.invalid/net.pth")
        model.load_state_dict({k.replace("module.", ""): v for k, v in state.items()})
    return model
"""


@pytest.mark.filterwarnings("ignore:the PyTorch checkpoint is not loaded here")
def test_published_weights_are_not_downloaded() -> None:
    made = migrated(LOADED, "4x8", call="net()")
    assert "warnings.warn(" in made.code and "load_state_dict" not in made.code
    assert set(codes(made)) == {"NF037"} and made.status == 1, made.verification.reason
    assert made.verification.passed, made.verification.reason


FILLED = """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4, 5)
        self.width = self.conv.in_channels
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                m.weight.data.normal_(0, 0.1)
                m.bias.data.zero_()
            elif isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, 0, m.in_features**-0.5)
            elif isinstance(m, nn.BatchNorm2d):
                m.weight.data.fill_(1)

    def forward(self, x):
        x = self.conv(x).mean((2, 3))
        x.add_(1.0).mul_(self.width)
        return self.fc(x)
"""


def test_filling_parameters_is_initialising_them() -> None:
    made = migrated(FILLED, "2x3x5x6")
    assert "m.kernel_initializer = keras.initializers.RandomNormal(stddev=0.1)" in made.code
    assert "m.bias_initializer = keras.initializers.Zeros()" in made.code
    assert "m.gamma_initializer = keras.initializers.Ones()" in made.code, "the run did not reach it"
    assert codes(made) == ["NF031"], "in_features is not known when the layer is made"
    assert made.verification.passed, made.verification.reason


def test_changing_a_tensor_in_place_makes_a_new_one() -> None:
    assert "x = (x + 1.0) * self.width" in migrated(FILLED, "2x3x5x6").code


def test_changing_a_part_in_place_makes_a_new_tensor() -> None:
    body = FILLED.replace("x.add_(1.0).mul_(self.width)", "x[:, 1:3].mul_(self.width)")
    made = migrated(body, "2x3x5x6")
    assert "NF030" not in codes(made)
    assert made.verification.passed, made.verification.reason


BACKBONE = """class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3)
        self.relu = nn.ReLU()
        self.name = nn.Conv2d(4, 4, 3)
        self.fc = nn.Linear(4, 6)

    def predict(self, x):
        return self.name(self.relu(self.conv1(x)))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        backbone = Backbone()
        backbone.conv1 = nn.Conv2d(3, 4, 5)
        self.features = nn.Sequential(*list(backbone.children())[:-1])
        self.other = Backbone()
        self.head = nn.Linear(self.other.fc.in_features, 7)

    def predict(self, x):
        return self.features(x), self.other.predict(x), self.other.name.out_channels

    def forward(self, x):
        return self.predict(x)
"""


def test_children_keep_their_order() -> None:
    made = migrated(BACKBONE, "2x3x10x12")
    assert "[backbone.conv1, backbone.relu, backbone.name_]" in made.code
    assert made.verification.passed, made.verification.reason


def test_names_that_keras_reserves_change_wherever_they_are_used() -> None:
    made = migrated(BACKBONE, "2x3x10x12")
    assert "self.other.predict(x)" in made.code, "a layer may have a method of that name"
    assert "def predict_(self, x)" in made.code and "return self.predict_(x)" in made.code
    assert "self.other.name_.filters" in made.code


def test_layers_that_nothing_calls_have_no_weights_to_carry() -> None:
    made = migrated(BACKBONE, "2x3x10x12")
    assert {"head.weight", "head.bias", "other.fc.weight"} <= set(made.weight_map.dropped)
    assert any("no call reaches" in note for note in made.verification.notes)


HELD = """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(8))
        self.register_buffer("count", torch.tensor(0))

    def forward(self, x):
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
            self.count += 1
        return x - self.mean
"""


@pytest.mark.parametrize("to", ["keras", "tensorflow"])
def test_buffers_are_assigned_to(to: str) -> None:
    made = migrated(HELD, "4x8", to=to)
    assert "self.mean.assign(" in made.code and "self.count.assign(self.count + 1)" in made.code
    assert made.verification.passed, made.verification.reason


SCRIPT = """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(8, 6)

    def forward(self, x):
        output = self.a(x)
        return output


parser = argparse.ArgumentParser()
parser.add_argument("--data", required=True)
options = parser.parse_args()
net = Net()
output = net(torch.randn(4, 8) * options.scale)
"""


def test_local_variables_do_not_reach_the_script_around_the_network() -> None:
    made = migrated(SCRIPT, "4x8", head="import argparse\n" + HEAD)
    assert "argparse" not in made.code
    assert made.status == 0, made.verification.reason


SHIFTED = """def shift(x, y):
    x.add_(y)
    return x


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 6)

    def forward(self, x):
        y = self.fc(x)
        shift(y, x)
        return y
"""


def test_an_argument_that_a_function_changes_in_place_is_assigned() -> None:
    made = migrated(SHIFTED, "2x6")
    assert "y = shift(y, x)" in made.code
    assert made.verification.passed, made.verification.reason


def test_an_argument_changed_in_place_for_the_caller_is_refused() -> None:
    made = migrated(SHIFTED.replace("    return x\n\n", "\n"), "2x6")
    assert "NF030" in codes(made)


CHECKED = """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 1)

    def forward(self, x):
        b, c, h, w = x.shape
        y = self.conv(x)
        expected = (b, 5, h, w)
        if y.shape != expected:
            raise ValueError(f"Should be {expected}, got {y.shape}")
        if y.shape != x.shape:
            y = y + 1
        return y
"""


def test_a_shape_is_compared_in_the_order_that_it_is_written_in() -> None:
    made = migrated(CHECKED, "2x3x5x7")
    assert made.verification.passed, made.verification.reason


AXES = """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.softmax = nn.Softmax(dim=1)
        self.glu = nn.GLU(1)
        self.flatten = nn.Flatten(2)

    def forward(self, x):
        x = self.glu(self.softmax(self.conv(x)))
        return self.flatten(x).mean(2)
"""
SHARED_AXES = AXES.replace("self.glu(", "self.softmax(self.glu(").replace("conv(x)))", "conv(x))))")
SHARED_AXES = SHARED_AXES.replace("return self.flatten(x).mean(2)", "return self.softmax(self.flatten(x).mean(2))")


@pytest.mark.parametrize("to", ["keras", "tensorflow", "flax"])
def test_axes_of_layers_follow_their_operands(to: str) -> None:
    made = migrated(AXES, "2x3x6x8", to=to)
    assert made.status == 0, made.verification.reason
    assert "transpose" not in made.code
    shared = migrated(SHARED_AXES, "2x3x6x8", to=to)
    assert shared.status == 0, shared.verification.reason


EMPTY_BUFFER = """class Block(nn.Module):
    def __init__(self, masked):
        super().__init__()
        self.fc = nn.Linear(5, 5)
        mask = torch.ones(5) * 2 if masked else None
        self.register_buffer("mask", mask, persistent=False)
        nothing = None
        self.register_buffer("nothing", nothing)

    def forward(self, x):
        x = self.fc(x)
        if self.mask is not None:
            x = x * self.mask
        return x


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([Block(i == 1) for i in range(2)])

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x
"""


@pytest.mark.parametrize("to", ["keras", "flax"])
def test_buffers_may_be_none(to: str) -> None:
    made = migrated(EMPTY_BUFFER, "2x5", to=to)
    assert made.status == 0, made.verification.reason
    assert "self.nothing = nothing\n" in made.code
    assert "None if mask is None else" in made.code


SUMMED = """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(3, 6, 2 * i + 1, padding=i) for i in range(3)])
        self.fc = nn.Linear(6, 4)

    def forward(self, x):
        outputs = [conv(x) for conv in self.convs]
        total = sum(outputs) + sum(F.relu(y) for y in outputs)
        return self.fc(total.mean(-1).mean(-1))
"""


def test_sums_of_lists_keep_the_order_of_their_members() -> None:
    made = migrated(SUMMED, "2x3x6x8")
    assert made.status == 0, made.verification.reason
    assert "sum(outputs)" in made.code and "transpose" not in made.code


TURNED = """class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 3, padding=1)

    def forward(self, x):
        both = torch.cat((torch.max(x, 1)[0].unsqueeze(1), torch.mean(x, 1).unsqueeze(1)), dim=1)
        return x * torch.sigmoid(self.conv(both))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.turned = Gate()
        self.upright = Gate()

    def forward(self, x):
        return self.turned(x.permute(0, 2, 1, 3)).permute(0, 2, 1, 3) + self.upright(x)
"""


def test_code_that_gets_turned_and_upright_tensors_keeps_the_order_of_the_source() -> None:
    made = migrated(TURNED, "2x5x8x6")
    assert made.status == 0, made.verification.reason
    assert "ops.transpose(self.conv(ops.transpose(both, (0, 2, 3, 1))), (0, 3, 1, 2))" in made.code


PARTIAL = """class Net(nn.Module):
    def __init__(self, norm=nn.LayerNorm):
        super().__init__()
        self.fc = nn.Linear(6, 8)
        self.norm = norm(8)

    def forward(self, x):
        return self.norm(self.fc(x))
"""


def test_the_call_may_need_more_than_the_file() -> None:
    head = "from functools import partial\n" + HEAD
    made = migrated(PARTIAL, "2x6", head=head, call="Net(norm=partial(nn.LayerNorm, eps=0.01))")
    assert made.status == 0, made.verification.reason


DERIVED = '''class Swish(torch.autograd.Function):
    """x * sigmoid(x)"""

    @staticmethod
    def forward(ctx, x):
        result = x * torch.sigmoid(x)
        ctx.save_for_backward(x)
        return result

    @staticmethod
    def backward(ctx, gradient):
        x = ctx.saved_tensors[0]
        s = torch.sigmoid(x)
        return gradient * (s * (1 + x * (1 - s)))


swish = Swish.apply


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return swish(Swish.apply(self.conv(x)).mean((2, 3)))
'''


def test_functions_with_a_derivative_of_their_own() -> None:
    made = migrated(DERIVED, "2x3x6x8")
    assert made.status == 0, made.verification.reason
    assert "def apply(x):\n        result = x * ops.sigmoid(x)\n        return result\n" in made.code
    assert "backward" not in made.code and "transpose" not in made.code
    wrong = migrated(DERIVED.replace("return gradient * (", "return 2 * gradient * ("), "2x3x6x8")
    assert wrong.verification.status == "mismatch"
    assert "gradient" in wrong.verification.reason


SAME_PADDING = """class SameConv(nn.Conv2d):
    def __init__(self, in_channels, out_channels, kernel_size, size, **kwargs):
        super().__init__(in_channels, out_channels, kernel_size, **kwargs)
        kh, kw = self.weight.size()[-2:]
        high = max((math.ceil(size / self.stride[0]) - 1) * self.stride[0] + kh - size, 0)
        wide = max((math.ceil(size / self.stride[1]) - 1) * self.stride[1] + kw - size, 0)
        self.channels = self.weight.shape[0]
        self.pad = nn.ZeroPad2d((wide // 2, wide - wide // 2, high // 2, high - high // 2))

    def forward(self, x):
        return F.conv2d(self.pad(x), self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = SameConv(3, 4, 3, 8, stride=2)
        self.conv2 = SameConv(4, 4, 3, 4, groups=4)

    def forward(self, x):
        return self.conv2(self.conv1(x))
"""


def test_sizes_of_kernels_are_known_before_the_first_call() -> None:
    made = migrated(SAME_PADDING, "2x3x8x8", head="import math\n" + HEAD)
    assert made.status == 0, made.verification.reason
    assert "kh, kw = self.kernel_size\n" in made.code
    assert "self.channels = self.filters\n" in made.code


PRIVATE = """class _Act(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(x)


class _Inner(nn.Module):
    def __init__(self):
        super(_Inner, self).__init__()
        self.a = nn.Conv2d(3, 3, 1)
        self.act = _Act()

    def forward(self, x):
        return self.act(self.a(x))


class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = _Inner()

    def forward(self, x):
        return self.inner(x)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(Outer(), nn.ReLU())

    def forward(self, x):
        return self.body(x)[:, np.array([0, 2])]
"""


@pytest.mark.parametrize("to", ["keras", "tensorflow"])
def test_private_classes_have_names_that_scopes_allow(to: str) -> None:
    made = migrated(PRIVATE, "2x3x5x6", to=to, head="import numpy as np\n" + HEAD)
    assert made.status == 0, made.verification.reason


SIZED = """class Net(nn.Module):
    def __init__(self, rows, columns, offset=False):
        super().__init__()
        self.weight = nn.Parameter(torch.Tensor(rows, columns))
        if offset:
            self.offset = nn.Parameter(torch.Tensor(rows, columns))
        self.weight.data.uniform_(-1, 1)

    def forward(self, x):
        return x @ self.weight
"""


def test_tensors_of_several_sizes_are_known_where_nothing_ran() -> None:
    made = migrated(SIZED, "2x4", call="Net(4, 3)")
    assert made.status == 0 and not codes(made)


RESIZED = """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)

    def forward(self, x, y):
        return F.interpolate(self.up(x), size=y.shape[2:], mode="nearest") + y
"""


def test_resizing_carries_what_its_mode_needs_alone() -> None:
    made = migrated(RESIZED, "2x3x5x6", "2x3x9x7")
    assert made.status == 0, made.verification.reason
    assert "resize_linear" in made.code and "resize_nearest" in made.code and "bicubic" not in made.code


PLACED = """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.f = nn.Linear(6, 6)

    def forward(self, x):
        y = self.f(x)
        top = y.mean(-1).topk(2, dim=-1)[1]
        rows = torch.arange(x.shape[0])[:, None]
        new = y.cumsum(-2)
        new[rows, top, :] = y[rows, top, :] * 2
        new[:, [0, 2]] = 1.0
        return new
"""


@pytest.mark.parametrize("to", ["keras", "tensorflow", "flax"])
def test_places_given_by_tensors_are_written_to(to: str) -> None:
    made = migrated(PLACED, "3x5x6", to=to)
    assert made.status == 0, made.verification.reason


VERSIONED = """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        padding = 1 if torch.__version__ >= "1.5.0" else 2
        self.c = nn.Conv2d(3, 4, 3, padding=padding)

    def forward(self, x):
        if hasattr(torch, "relu") and torch.__version__ > "1":
            return self.c(x)
        return torch.not_there(x)
"""


def test_branches_on_the_version_are_decided() -> None:
    made = migrated(VERSIONED, "2x3x5x6")
    assert made.status == 0 and "__version__" not in made.code and "not_there" not in made.code


SETTING = """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Linear(3, int(torch.__version__[0]))

    def forward(self, x):
        return self.c(x)
"""


def test_what_is_read_off_the_framework_is_named() -> None:
    made = migrated(SETTING, "2x3")
    assert made.status == 1 and "torch.__version__" in str([str(d) for d in made.diagnostics])


ONE_LINE = """class Net(nn.Module):
    def __init__(self, special=False):
        super().__init__()
        self.special = special
        self.c = nn.Linear(3, 4)

    def forward(self, x):
        if self.special: return torch.special.bessel_j0(x)
        else: return self.c(x)
"""


def test_what_cannot_be_said_on_one_line_gets_more() -> None:
    made = migrated(ONE_LINE, "2x3")
    assert "        if self.special:\n            # return torch.special" in made.code
    assert made.verification.status == "verified"


HALVED = """class Block(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.c = nn.Sequential(*[nn.Conv1d(d, d, 3, padding=1), nn.Tanh(), nn.Conv1d(d, d, 1)])

    def forward(self, x):
        return self.c(x)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = [Block(6) for _ in range(2)]

    def step(self, x, depth):
        even, odd = x[:, ::2].permute(0, 2, 1), x[:, 1::2].permute(0, 2, 1)
        even, odd = (even + self.a(odd)).permute(0, 2, 1), (odd - self.b(even)).permute(0, 2, 1)
        if depth:
            even, odd = self.step(even, depth - 1), self.step(odd, depth - 1)
        return torch.cat([even, odd], 1)

    def forward(self, x):
        return self.step(x, 1)
"""


def test_wrapped_layers_get_their_weights() -> None:
    made = migrated(HALVED, "2x8x6")
    assert made.status == 0, made.verification.reason


REPLACED = """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.f = nn.Linear(6, 5)
        self.f.weight = nn.Parameter((1 / 6) * torch.ones([5, 6]))

    def forward(self, x):
        return self.f(x)
"""


def test_a_parameter_put_into_a_layer_is_its_own_with_other_initial_values() -> None:
    made = migrated(REPLACED, "3x6")
    assert made.verification.status == "verified" and codes(made) == ["NF031"]
