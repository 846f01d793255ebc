"""The collapse lab: what a switch takes out, who lives and who dies, and a picture that follows the switches."""

import base64
from dataclasses import asdict

import numpy as np
import pytest
import torch
from test_moco import Flat, views
from torch import nn

from cl_course.lessons.byol import lab_collapse as lab
from cl_course.lessons.byol.collapse_figure import curves_figure
from cl_course.lessons.byol.figures import parts_figure, schedule_figure
from cl_course.lessons.byol.lab_collapse import (
    CARDS,
    DIM,
    EVERY,
    EVERY_RUN,
    ONE_BY_ONE,
    STEPS,
    TARGETS,
    SmallRun,
    Switches,
    as_data,
    collapse_lab,
    ends,
    recorded,
    small_run,
    take_apart,
)
from cl_course.methods import BYOL
from cl_course.models import predictor, projector
from cl_course.running import records

DEAD = {"no predictor", "no stop-gradient", "no BatchNorm"}


def byol() -> BYOL:
    torch.manual_seed(0)
    return BYOL(Flat(), projector(6, 5, 4, norm_output=True), predictor(4, 5), momentum=0.9)


class TestTakeApart:
    def test_all_on_changes_nothing(self):
        whole, same = byol(), take_apart(byol(), Switches())
        assert str(same) == str(whole) and same.momentum == 0.9
        assert torch.equal(whole.loss(*views(4)), same.loss(*views(4)))

    def test_without_predictor_the_embeddings_are_the_predictions(self):
        method = take_apart(byol(), Switches(predictor=False))
        assert isinstance(method.predictor, nn.Identity) and not list(method.predictor.parameters())

    def test_without_stop_gradient_the_targets_are_the_online_networks_own_and_learn(self):
        method = take_apart(byol(), Switches(stop_gradient=False))
        for target, z in zip(method.targets(*views(4)), method.embeddings(*views(4))):
            assert torch.equal(target, z) and target.requires_grad
        assert not any(target.requires_grad for target in byol().targets(*views(4)))

    @pytest.mark.parametrize("target, momentum", [("slow", 0.9), ("copied", 0.0), ("frozen", 1.0)])
    def test_the_target_is_a_matter_of_momentum(self, target, momentum):
        assert take_apart(byol(), Switches(target=target)).momentum == momentum

    def test_batch_norm_goes_from_all_heads(self):
        method = take_apart(byol(), Switches(batch_norm=False))
        heads = (method.projector, method.target_projector, method.predictor)
        assert not any(isinstance(layer, nn.BatchNorm1d) for head in heads for layer in head)
        method.eval()
        alone = method.projector(method.encoder(views(4)[0][:1]))
        method.train()
        assert torch.allclose(alone, method.projector(method.encoder(views(4)[0]))[:1], atol=1e-6), (
            "an image no longer sees its batch"
        )

    def test_what_does_not_exist_is_named(self):
        with pytest.raises(ValueError, match="target must be one of slow, copied, frozen, got 'fast'"):
            Switches(target="fast")

    def test_settings_that_make_the_same_run_have_one_name(self):
        assert Switches(stop_gradient=False, target="frozen").name == Switches(stop_gradient=False).name
        assert len(EVERY_RUN) == 2 * 2 * (len(TARGETS) + 1)
        assert Switches(predictor=False, target="frozen", batch_norm=False).name == "- s - frozen"


class TestSmallRun:
    @pytest.mark.parametrize("name", ONE_BY_ONE)
    def test_who_dies_has_the_best_loss(self, name):
        """With room on both sides: see the numbers in the lesson's table."""
        run = small_run(ONE_BY_ONE[name])
        assert (run.spread[-1] < 0.3) == (name in DEAD)
        assert (run.loss[-1] < 0.5) == (name in DEAD)
        assert (run.rank[-1] < 5) == (name in DEAD)

    def test_what_a_run_holds(self):
        run, looks = small_run(), STEPS // EVERY + 1
        assert run.z.shape == (looks, 2, CARDS, DIM) and run.loss.shape == run.spread.shape == run.rank.shape == (
            looks,
        )
        assert torch.allclose(run.z.norm(dim=-1), torch.ones(looks, 2, CARDS), atol=1e-5)

    def test_it_leaves_torchs_own_random_numbers_alone(self):
        torch.manual_seed(3)
        expected = torch.rand(4)
        torch.manual_seed(3)
        small_run.__wrapped__(Switches(), seed=1)
        assert torch.equal(torch.rand(4), expected)


def path(z: torch.Tensor) -> SmallRun:
    one = torch.zeros(len(z))
    return SmallRun(z, one, one, one)


def test_one_point_lies_at_the_right():
    flat = path(torch.eye(DIM)[3].expand(1, 2, CARDS, DIM)).flat()
    assert torch.allclose(flat, torch.tensor([1.0, 0.0]).expand(2, CARDS, 2), atol=1e-5)


def test_points_stay_within_the_circle_and_keep_their_angles_where_two_dimensions_are_all():
    angle = torch.arange(2 * CARDS) * 0.1
    z = torch.zeros(1, 2, CARDS, DIM)
    z[0, ..., 5], z[0, ..., 9] = angle.cos().view(2, CARDS), angle.sin().view(2, CARDS)
    flat = path(z).flat()
    assert torch.allclose(flat.norm(dim=-1), torch.ones(2, CARDS), atol=1e-5)
    assert torch.allclose((flat[0, 0] * flat[1, 5]).sum(), (z[0, 0, 0] * z[0, 1, 5]).sum(), atol=1e-5)


class TestLab:
    def test_it_hands_the_recorded_runs_to_the_page(self, monkeypatch):
        shown = []
        monkeypatch.setattr(lab, "display", shown.append)
        collapse_lab(Switches(predictor=False))
        data = shown[0].data
        assert data["switches"] == {"predictor": False, "stop_gradient": True, "target": "slow", "batch_norm": True}
        assert set(data["runs"]) == set(EVERY_RUN)
        for run in data["runs"].values():
            assert len(run["loss"]) == len(run["spread"]) == len(run["rank"]) == STEPS // EVERY + 1
            assert len(base64.b64decode(run["points"])) == (STEPS // EVERY + 1) * 4 * CARDS

    def test_the_record_is_what_the_lab_trains(self):
        record, dead = recorded(), ONE_BY_ONE["no predictor"]
        now, then = as_data(small_run(dead)), record[dead.name]
        # Where it collapses: elsewhere another machine's rounding may lead a run to other points.
        assert then["spread"][-1] == pytest.approx(now["spread"][-1], abs=0.05)
        assert then["loss"][0] == pytest.approx(now["loss"][0], abs=0.01)
        for name, switches in ONE_BY_ONE.items():
            assert (record[switches.name]["spread"][-1] < 0.3) == (name in DEAD)

    def test_the_kernel_trains_what_the_page_asks_for(self, monkeypatch):
        shown, asked = [], []
        monkeypatch.setattr(lab, "display", shown.append)
        whole = small_run()
        monkeypatch.setattr(lab, "small_run", lambda switches, seed: asked.append((switches, seed)) or whole)
        collapse_lab()
        switches = Switches(target="copied")
        shown[0].ask = {"name": switches.name, "seed": 3, "switches": asdict(switches)}
        assert asked == [(switches, 3)]
        assert shown[0].answer == {"name": switches.name, "seed": 3, "run": as_data(whole)}

    def test_ends_side_by_side_are_the_record_and_the_record_is_the_labs(self):
        figure = ends()
        assert [axes.get_title() for axes in figure.axes] == list(ONE_BY_ONE)
        first = {run["switched"]: run for run in records.read("byol_lab")["runs"] if run["seed"] == 0}
        for axes in figure.axes:
            name = axes.get_title()
            assert f"rank {first[name]['rank']:.1f}" in axes.get_xlabel()
            shown = np.stack([dots.get_offsets() for dots in axes.collections])
            assert shown.shape == (2, CARDS, 2) and np.linalg.norm(shown, axis=-1).max() < 1.02
            if name in DEAD:  # elsewhere another machine's rounding may lead a run to other points
                assert shown == pytest.approx(small_run(ONE_BY_ONE[name]).flat().numpy(), abs=0.1)


class TestRecordedRuns:
    def test_curves_show_every_seed_and_the_mean(self):
        runs = [
            {"loss": [2.0, 1.0 + s], "spread": [1, 0.5], "rank_z": [20, 10], "rank_h": [9, 8], "knn": [0.1, 0.2]}
            for s in range(3)
        ]
        figure = curves_figure({"one": runs, "two": runs})
        ends = [float(line.get_ydata()[-1]) for line in figure.axes[0].lines]
        assert ends == [2, 1, 2, 3, 2, 1, 2, 3, 4]
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one", "two"]

    def test_parts_take_the_recipe_where_nothing_is_changed(self):
        values = [("recipe", None, 0.5), ("momentum", 0, 0.4), ("rate", 1, 0.3)]
        runs = [
            {"factor": f, "value": v, "seed": s, "knn": x, "linear": x + 0.1, "rank_h": 10, "rank_z": 20}
            for f, v, x in values
            for s in range(3)
        ]
        figure = parts_figure(runs, {"momentum": [0, 0.8], "rate": [1, 20]}, {"momentum": 0.8, "rate": 20})
        momentum, rate = figure.axes[:2]
        assert [np.round(dots.get_offsets()[:, 1].mean(), 2) for dots in momentum.collections] == [0.4, 0.5, 0.5, 0.6]
        assert [np.round(dots.get_offsets()[:, 1].mean(), 2) for dots in rate.collections] == [0.3, 0.5, 0.4, 0.6]
        assert [label.get_text() for label in momentum.get_xticklabels()] == ["0", "0.8"]

    def test_the_schedule_is_drawn_to_its_end(self):
        figure = schedule_figure({"constant": [0.8] * 5, "rising": [0.8, 0.9, 0.95, 0.99, 1.0]})
        left, right = figure.axes
        assert list(left.lines[1].get_ydata()) == [0.8, 0.9, 0.95, 0.99, 1.0]
        assert np.isfinite(right.lines[1].get_ydata()).all()
