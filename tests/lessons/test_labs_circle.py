"""The circle lab's core: descent on NT-Xent and its halves, and sliders that move the points."""

import math

import pytest
import torch

from cl_course.lessons.shared import lab_circle as lab
from cl_course.lessons.shared.lab_circle import (
    STEPS,
    WANTS,
    circle_lab,
    even_uniformity,
    objective,
    on_circle,
    simulate,
    start,
)
from cl_course.losses import alignment, nt_xent, uniformity


@pytest.mark.parametrize("want", WANTS)
@pytest.mark.parametrize("temperature", [0.05, 0.5, 2.0])
@pytest.mark.parametrize("n", [3, 6, 12])
def test_it_goes_downhill_and_settles(n, temperature, want):
    path = simulate(start(n, seed=1), temperature, want)
    losses = torch.stack([objective(angles, temperature, want) for angles in path.angles])
    assert path.angles.shape == (STEPS + 1, 2, n)
    assert losses[-1] < losses[0]
    assert temperature * (losses[-20:].max() - losses.min()) < 0.02, "no swinging about at the end"


def gaps(angles: torch.Tensor) -> list[float]:
    """Degrees from each point on the circle to the next, the smallest first."""
    flat = (angles.flatten() % (2 * math.pi)).sort().values
    return sorted(torch.rad2deg(torch.cat([flat[1:], flat[:1] + 2 * math.pi]) - flat).tolist())


@pytest.mark.parametrize("seed", range(0, 21, 4))
def test_the_slider_s_starts_end_evenly(seed):
    """Both parts: from T 0.1 on the pairs meet and lie 60 degrees apart. Pushing alone, T 0.2 to 0.5: 12 points, 30."""
    for temperature in (0.1, 0.5, 2.0):
        end = simulate(start(6, seed), temperature, "both").angles[-1]
        apart = torch.rad2deg((end[0] - end[1] + math.pi) % (2 * math.pi) - math.pi).abs()
        assert apart.max() < 0.5
        assert min(gaps(end[0])) > 59
    for temperature in (0.2, 0.5):
        assert min(gaps(simulate(start(6, seed), temperature, "uniformity").angles[-1])) > 29


def test_the_parts_make_the_whole():
    angles = start()
    both, pull, push = (objective(angles, 0.3, want) for want in WANTS)
    assert both.item() == pytest.approx(pull.item() + push.item())
    assert both.item() == pytest.approx(nt_xent(*on_circle(angles), 0.3).item())


@pytest.mark.parametrize("want", WANTS)
def test_the_push_is_the_gradient_by_finite_differences(want):
    angles, temperature = start(4), 0.4
    push = simulate(angles, temperature, want, steps=0).push[0]
    step = torch.zeros_like(angles)
    step[1, 2] = 1e-6
    slope = (objective(angles + step, temperature, want) - objective(angles - step, temperature, want)) / 2e-6
    assert push[1, 2].item() == pytest.approx(-8 * temperature * slope.item(), rel=1e-4)


def test_what_each_part_wants():
    begin = start(6, seed=0)
    pulled, pushed, both = (simulate(begin, 0.5, want) for want in ("alignment", "uniformity", "both"))
    assert pulled.alignment[-1] < 1e-3  # partners meet, and that is all
    assert pulled.uniformity[-1] > pulled.uniformity[0]
    assert pushed.uniformity[-1] < even_uniformity(6) + 0.05 and pushed.alignment[-1] > 0.5
    assert both.alignment[-1] < 0.01 and both.uniformity[-1] < both.uniformity[0]


def test_a_single_pair_of_images_as_on_paper():
    """Two images, one view pair each: with both parts, partners meet and the images end opposite."""
    begin = torch.tensor([[0.1, 1.0], [0.3, 1.4]], dtype=torch.float64)
    end = simulate(begin, 0.5, "both", steps=600).angles[-1]
    assert torch.allclose(end[0], end[1], atol=1e-3)
    assert math.cos(float(end[0, 0] - end[0, 1])) == pytest.approx(-1, abs=1e-3)


def test_measures_are_those_of_losses():
    path = simulate(start(5, seed=3), 0.2, steps=3)
    z1, z2 = on_circle(path.angles[2])
    assert path.alignment[2].item() == pytest.approx(alignment(z1, z2).item())
    assert path.uniformity[2].item() == pytest.approx(uniformity(torch.cat([z1, z2])).item())
    assert path.loss[2].item() == pytest.approx(nt_xent(z1, z2, 0.2).item())


def test_same_seed_same_points():
    assert torch.equal(start(6, 4), start(6, 4)) and not torch.equal(start(6, 4), start(6, 5))


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="both, alignment, uniformity, got 'all'"):
        simulate(start(), 0.5, "all")
    with pytest.raises(ValueError, match="temperature must be"):
        simulate(start(), 0)


def test_the_lab_hands_its_start_to_the_page(monkeypatch):
    shown = []
    monkeypatch.setattr(lab, "display", shown.append)
    circle_lab(n=4, temperature=0.2, want="alignment", seed=5)
    assert shown[0].data == {
        "n": 4,
        "temperature": 0.2,
        "want": "alignment",
        "seed": 5,
        "angles": start(4, 5).flatten().tolist(),
    }


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"n": 13}, "n must be a whole number from 2 to 12, got 13"),
        ({"temperature": 0}, "temperature must be a finite number at least 0.05 and at most 2, got 0"),
        ({"want": "all"}, "want must be 'both', 'alignment' or 'uniformity', got 'all'"),
    ],
)
def test_the_lab_refuses_what_it_cannot_show(settings, words):
    with pytest.raises(ValueError, match=words):
        circle_lab(**settings)
