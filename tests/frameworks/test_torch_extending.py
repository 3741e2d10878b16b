"""PyTorch code around layers: classes that extend them, wrappers of scopes and questions, caches, initial values."""

from __future__ import annotations

from pathlib import Path

import netferry
from tests.frameworks.test_torch_habits import codes, migrated

NORMALISED = """class Slope(nn.PReLU):
    def __init__(self, init=0.3, inplace=False):
        super().__init__(init=init)

    def forward(self, x):
        return F.prelu(x, self.weight)


class NormAct(nn.BatchNorm2d):
    def __init__(self, channels, track=True, device=None):
        try:
            super().__init__(channels, eps=1e-3, track_running_stats=track, **{"device": device})
        except TypeError:
            super().__init__(channels, eps=1e-3)
        self.act = Slope()
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.act(super().forward(x)) * self.gain


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = NormAct(4)

    def forward(self, x):
        return self.norm(self.conv(x))
"""


def test_what_an_extended_layer_computes_is_called_with_the_training_flag() -> None:
    made = migrated(NORMALISED, "2x3x8x9")
    assert "super().call(x, training=training)" in made.code
    assert made.verification.status == "verified", made.verification.reason


def test_a_carried_definition_gives_way_to_the_class_that_extends_it() -> None:
    made = migrated(NORMALISED.replace("Slope", "PReLU"), "2x3x8x9")
    assert "class PReLU(PReLU_):" in made.code
    assert made.verification.status == "verified", made.verification.reason


CACHED = """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.mask = None
        self.a = nn.Linear(5, 5)

    def forward(self, x):
        if self.mask is None or self.mask.size(0) != x.size(0):
            self.mask = torch.full((x.size(0), x.size(0)), -1.5).triu(1)
        return self.mask @ self.a(x)
"""


def test_a_tensor_that_calls_make_anew_is_no_state() -> None:
    made = migrated(CACHED, "4x5")
    assert made.verification.status == "verified", made.verification.reason


SCOPES = """def casts(device):
    try:
        return torch.is_autocast_enabled(device)
    except TypeError:
        return torch.is_autocast_enabled()


has_gelu = hasattr(F, "gelu")
has_swish = "silu" in dir(torch.nn.functional)


class Net(nn.Module):
    fused: torch.jit.Final[bool]

    def __init__(self):
        super().__init__()
        self.fused = hasattr(torch.nn.functional, "scaled_dot_product_attention")
        self.a = nn.Linear(8, 6)

    def forward(self, x):
        if casts(x.device.type):
            x = x.half()
        if has_swish:
            x = -x
        with torch.amp.autocast(device_type=x.device.type, enabled=False):
            if has_gelu:
                # the usual way
                x = F.gelu(self.a(x))
            else:
                x = self.a(x)
        return x
"""


def test_scopes_and_questions_leave_their_bodies_well_indented() -> None:
    made = migrated(SCOPES, "4x8")
    assert "has_gelu = True" in made.code and "has_swish = True" in made.code and "self.fused = True" in made.code
    assert "casts(" not in made.code and "torch" not in made.code
    assert "        if has_gelu:\n            # the usual way\n" in made.code
    assert made.status == 0, made.verification.reason


UNPACKED = """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.heads = 2
        self.a = nn.Conv2d(4, 6, 1)
        self.crop = nn.ZeroPad2d((-1, 0, -1, 0))

    def forward(self, x):
        x = self.crop(self.a(x))
        b, c, h, w, heads = *x.shape, self.heads
        y = x.reshape(b, heads, c // heads, h * w).sum(1)
        *_, height, width, scale = *x.shape, 2.0
        return y * height * scale - width
"""


def test_sizes_unpacked_with_others_keep_their_names() -> None:
    made = migrated(UNPACKED, "3x4x5x7")
    assert "b, h, w, c, heads = *ops.shape(x), self.heads" in made.code
    assert "layers.Cropping2D(((1, 0), (1, 0)))" in made.code
    assert made.verification.status == "verified", made.verification.reason


INITIALISED = """def scaled_(tensor, scale):
    fan_in, _ = nn.init._calculate_fan_in_and_fan_out(tensor)
    with torch.no_grad():
        tensor.mul_(scale / fan_in)


def exists(value):
    return value is not None


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(6, 5, bias=False)
        self.index = torch.LongTensor(range(5))
        self.scale = nn.Parameter(torch.Tensor(5))
        nn.init.ones_(self.scale)
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                scaled_(module.weight, len(name))
                if exists(module.bias):
                    nn.init.zeros_(module.bias)

    def forward(self, x):
        return self.a(x)[:, self.index] * self.scale
"""


def test_initial_values_that_cannot_be_told_are_left_to_the_target() -> None:
    made = migrated(INITIALISED, "4x6")
    assert "scaled_" not in made.code and "if exists(module.use_bias or None):" in made.code
    assert codes(made) == ["NF031"]
    assert made.verification.status == "verified", made.verification.reason


def test_a_name_that_a_package_gives_goes_before_its_module(tmp_path: Path) -> None:
    layers = tmp_path / "parts" / "layers"
    layers.mkdir(parents=True)
    (tmp_path / "parts" / "__init__.py").write_text("")
    (layers / "__init__.py").write_text("from .project import project\n")
    (layers / "project.py").write_text("from torch import nn\n\n\ndef project(n):\n    return nn.Linear(n, 3)\n")
    (tmp_path / "parts" / "net.py").write_text(
        "from torch import nn\nfrom parts.layers import project\n\n\nclass Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.a = project(6)\n\n"
        "    def forward(self, x):\n        return self.a(x)\n"
    )
    made = netferry.migrate(tmp_path / "parts" / "net.py", entry="Net", to="keras", inputs=["4x6"])
    assert "def project(n):" in made.code
    assert made.verification is not None and made.verification.status == "verified"


TAKEN_APART = """class NormAct(nn.Module):
    def __init__(self, channels, eps=1e-5):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, eps=eps)

    def forward(self, x):
        return self.norm(x).relu()


def with_act(layer):
    options = {}
    if isinstance(layer, partial):
        options.update(layer.keywords)
        layer = layer.func
    assert layer.__name__.lower() == "batchnorm2d"
    return partial(NormAct, **options)


class Net(nn.Module):
    def __init__(self, norm_layer=None, **kwargs):
        super().__init__()
        norm_layer = norm_layer or partial(nn.BatchNorm2d, **kwargs)
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = with_act(norm_layer)(4)
        self.last = norm_layer(4)

    def forward(self, x):
        return self.last(self.norm(self.conv(x)))
"""


def test_a_partial_that_is_taken_apart_keeps_the_arguments_of_the_source() -> None:
    made = migrated("from functools import partial\n\n\n" + TAKEN_APART, "2x3x8x9")
    assert "partial(batch_norm, **kwargs)" in made.code
    assert made.verification.status == "verified", made.verification.reason


TYPED = """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(6, 5)
        self.register_buffer("mask", torch.ones(5, dtype=self.a.weight.dtype) * 2)

    def forward(self, x):
        return self.a(x) * self.mask.cumsum(0, dtype=torch.float32)
"""


def test_the_type_of_a_parameter_is_known_before_the_layer_is_called() -> None:
    made = migrated(TYPED, "4x6")
    assert "dtype=self.a.variable_dtype" in made.code
    assert made.verification.status == "verified", made.verification.reason
