"""Encoders by file, shipped name and published name; no weights come from the network here."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models
from torchvision.models._api import WeightsEnum

from cl_course.data import ImageSet
from cl_course.running import encoders
from cl_course.running.encoders import open_encoder


@pytest.fixture
def fetched(monkeypatch):
    """torchvision's weights, drawn here in place of fetched, and how they were asked for."""
    asked = {}

    def state(self, **how):
        asked.update(how)
        torch.manual_seed(7)
        return models.get_model("resnet18", weights=None).state_dict()

    monkeypatch.setattr(WeightsEnum, "get_state_dict", state)
    return asked


def noise(n: int, height: int, width: int) -> ImageSet:
    return ImageSet(torch.randint(0, 256, (n, 3, height, width), dtype=torch.uint8))


def test_a_torchvision_model_gives_features_of_pictures_of_any_size(fetched):
    encoder = open_encoder("torchvision:resnet18")
    assert fetched["weights_only"] and fetched["check_hash"], "weights that can run no code, as published"
    assert encoder.side == 224 and "torchvision" in encoder.about
    images = noise(2, 28, 40)
    h = encoder.features(images)
    assert h.shape == (2, 512) and not torch.allclose(h, encoder.features(images, untrained=True))
    x = torch.nn.functional.interpolate(images.images / 255, (224, 224), mode="bilinear", antialias=True)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    torch.manual_seed(7)
    model = models.get_model("resnet18", weights=None).eval()
    model.fc = torch.nn.Identity()
    with torch.no_grad():
        torch.testing.assert_close(h, model((x - mean) / std))


def test_only_the_layer_that_names_classes_is_taken_out():
    for name, dim in {"mobilenet_v3_small": 1024, "convnext_tiny": 768, "vgg11": 4096, "vit_b_16": 768}.items():
        with torch.device("meta"):
            model = encoders._without_head(name, models.get_model(name, weights=None))
            assert not [part for part in model.modules() if getattr(part, "out_features", 0) == 1000]
            assert model.eval()(torch.zeros(1, 3, 224, 224)).shape == (1, dim)


def test_a_timm_model_is_read_from_safetensors(monkeypatch, tmp_path):
    timm = pytest.importorskip("timm", reason="the extra `models` is not installed")
    import huggingface_hub

    model = timm.create_model("resnet10t", pretrained=False)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    asked = []
    path = str(tmp_path / "model.safetensors")
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *names: asked.append(names) or path)
    encoder = open_encoder("timm:resnet10t.c3_in1k")
    assert asked == [("timm/resnet10t.c3_in1k", "model.safetensors")]
    assert torch.equal(encoder.network.model.conv1[0].weight, model.conv1[0].weight)
    assert not torch.equal(encoder.untrained.model.conv1[0].weight, model.conv1[0].weight)
    assert encoder.features(noise(2, 32, 32)).shape == (2, 512)
    with pytest.raises(ValueError, match="timm has no model 'resnet19'; did you mean"):
        open_encoder("timm:resnet19")


def test_weights_that_cannot_be_fetched_are_one_sentence(monkeypatch):
    def offline(self, **how):
        raise OSError("<urlopen error [Errno -2] Name or service not known>")

    monkeypatch.setattr(WeightsEnum, "get_state_dict", offline)
    with pytest.raises(OSError, match="weights of torchvision:resnet18 are not on this machine.*with a network"):
        open_encoder("torchvision:resnet18")
    hub = pytest.importorskip("huggingface_hub", reason="the extra `models` is not installed")
    pytest.importorskip("timm")

    def refused(*names):
        raise RuntimeError("Cannot send a request, as the client has been closed")

    monkeypatch.setattr(hub, "hf_hub_download", refused)
    with pytest.raises(OSError, match="weights of timm:resnet18 are not on this machine.*with a network"):
        open_encoder("timm:resnet18")


@pytest.mark.parametrize(
    "name, sentence",
    [
        ("torchvision:resnet19", "no classification model 'resnet19'; did you mean 'resnet1"),
        ("torchvision:fasterrcnn_resnet50_fpn", "no classification model 'fasterrcnn"),
        ("resnet18", "no shipped checkpoint 'resnet18'; .*a published model is written timm:NAME or torchvision:NAME"),
        ("model.onnx", "model.onnx is not the .safetensors file of a checkpoint"),
    ],
)
def test_names_that_nothing_has(name, sentence):
    with pytest.raises(ValueError, match=sentence):
        open_encoder(name)


def test_timm_that_is_missing_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match=r"needs the package timm.*pip install 'cl-course\[models\]'"):
        open_encoder("timm:resnet18")


def test_the_untrained_one_depends_on_the_seed_only():
    first, again, other = (open_encoder("simclr_shapes", seed) for seed in (1, 1, 2))
    weight = "stem.0.weight"
    assert torch.equal(first.untrained.state_dict()[weight], again.untrained.state_dict()[weight])
    assert not torch.equal(first.untrained.state_dict()[weight], other.untrained.state_dict()[weight])
    assert torch.equal(first.network.state_dict()[weight], other.network.state_dict()[weight])
    assert Path(encoders.checkpoints.SHIPPED, "simclr_shapes.json").exists() and "SimCLR of shapes" in first.about
