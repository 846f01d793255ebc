"""What all tests share: which are slow, the order in which they run, and what they report at the end."""

from collections import Counter
from pathlib import Path

import pytest

pytest_plugins = ["archive_files"]  # fixtures that several rooms use
DURATIONS = pytest.StashKey[dict[str, float]]()
LEFT_OUT = pytest.StashKey[list[str]]()

# What `make check` leaves out, so that it takes less than a minute: whole files, and single tests by file.
# They train, start kernels or servers, or go through many combinations. So is every file that uses a browser.
SLOW: dict[str, tuple[str, ...] | None] = {
    "test_notebooks.py": None,
    "test_attempt.py": None,
    "test_marking.py": None,
    "test_project.py": ("test_the_board",),
    "test_tools.py": None,
    "test_hidden.py": ("test_right_work_is_right_and_typed_in_answers_are_wrong",),
    "test_grade.py": ("test_the_marks_of_a_class",),
    "test_build.py": ("test_execution", "test_a_failed_cell_leaves_the_old_notebook"),
    "test_detect.py": ("test_training_learns_one_scene",),
    "test_checks_byol.py": (
        "test_wrong_steps",
        "test_wrong_losses",
        "test_wrong_gradients",
        "test_right_steps",
        "test_the_lessons_solutions_pass_and_wrong_ones_raise",
    ),
    "test_checks_choose.py": ("test_choices_that_fail_are_named",),
    "test_checks_clinic.py": (
        "test_what_is_wrong_is_named_or_what_was_seen_is_said",
        "test_right_answers_of_any_style_pass",
    ),
    "test_checks_edges.py": ("test_wrong_steps_that_look_right",),
    "test_checks_fair_table.py": ("test_wrong_tables_are_explained",),
    "test_checks_family.py": ("test_what_is_said_of_a_mistake_that_nobody_listed",),
    "test_checks_judging.py": ("test_wrong_answers_are_explained",),
    "test_checks_knn.py": ("test_wrong_votes_are_explained",),
    "test_checks_loss_steps.py": ("test_what_is_said_of_a_mistake_that_nobody_listed",),
    "test_checks_moco.py": ("test_wrong_answers_get_a_true_sentence",),
    "test_checks_moco_steps.py": ("test_wrong_answers_get_a_true_sentence",),
    "test_checks_nt_xent_unlisted.py": None,
    "test_every_check.py": ("test_every_mistake_is_named_when_it_is_made",),
    "test_checks_training_step.py": (
        "test_what_no_list_has_is_shown_by_what_was_observed",
        "test_planted_mistakes_are_named",
    ),
    "test_distributed.py": (
        "test_two_processes_learn_what_one_learns_from_the_whole_batch",
        "test_two_processes_that_compute_activations_again_have_the_same_numbers",
        "test_queue_and_slow_networks_are_the_same_in_both_processes",
        "test_a_resumed_run_ends_with_the_numbers_of_an_unbroken_one",
        "test_processes_that_do_not_fit_together_are_refused_in_each_of_them",
        "test_rows_come_together_in_the_order_of_the_batch_and_one_process_speaks",
        "test_process_0_alone_writes",
        "test_a_killed_process_ends_all_with_one_sentence",
    ),
    "test_cli.py": (
        "test_pretrain_then_evaluate",
        "test_a_cut_run_goes_on_to_the_same_weights",
        "test_run_a_lesson_with_parameters",
        "test_run_tells_which_cell_failed",
        "test_sigterm_ends_like_ctrl_c_and_a_second_run_is_refused_meanwhile",
    ),
    "test_data.py": ("test_the_real_cifar10",),
    "test_lab_pictures.py": None,
    "test_encoders.py": (
        "test_a_torchvision_model_gives_features_of_pictures_of_any_size",
        "test_a_timm_model_is_read_from_safetensors",
        "test_only_the_layer_that_names_classes_is_taken_out",
    ),
    "test_export_encoder.py": ("test_an_exported_encoder_gives_the_same_features",),
    "test_report.py": (
        "test_a_trained_encoder_is_better_than_what_costs_nothing",
        "test_the_real_map_lays_one_class_together",
        "test_every_kind_of_folder_gives_a_whole_page",
        "test_the_commands_on_a_folder",
    ),
    "test_full_profile.py": ("test_from_the_authors_bytes_to_a_report",),
    "test_labs_circle.py": ("test_it_goes_downhill_and_settles",),
    "test_labs_collapse.py": None,
    "test_labs_your_loss.py": None,
    "test_order_test.py": None,
    "test_own_pictures.py": None,
    "test_labels.py": ("test_a_killed_process_loses_no_label", "test_two_processes_cannot_label_into_one_file"),
    "test_package.py": ("test_the_wheel_works_from_another_folder",),
    "test_recipes.py": (
        "test_a_few_steps_of_every_method_on_each_format_and_in_each_precision",
        "test_a_compiled_run_gives_the_same_numbers_and_leaves_the_method_as_it_was",
        "test_a_full_run_that_was_cut_goes_on_to_the_same_numbers",
    ),
    "test_settings.py": ("test_what_training_frees_is_kept",),
}


def pytest_configure(config):
    config.stash[DURATIONS], config.stash[LEFT_OUT] = {}, []


def pytest_collection_modifyitems(items):
    """Whole lessons come last: they keep every core busy."""
    items.sort(key=lambda item: item.path.name == "test_notebooks.py")
    for item in items:
        names = SLOW.get(item.path.name, ())
        if names is None or item.originalname in names or "browser" in item.fixturenames:
            item.add_marker("slow")


def pytest_deselected(items):
    for item in items:
        item.config.stash[LEFT_OUT].append(item.nodeid)


@pytest.fixture(scope="session")
def durations(request) -> dict[str, float]:
    """Label -> seconds; what is put here is printed under the results."""
    return request.config.stash[DURATIONS]


def pytest_terminal_summary(terminalreporter, config):
    if config.stash[LEFT_OUT] and config.option.markexpr == "not slow":
        terminalreporter.section("what ran, and what `make test` runs as well")
        ran = [report.nodeid for reports in terminalreporter.stats.values() for report in reports if is_result(report)]
        for label, nodeids in (("ran", ran), ("slow, left out", config.stash[LEFT_OUT])):
            rooms = Counter(str(Path(nodeid.partition("::")[0]).parent) for nodeid in nodeids)
            listed = ", ".join(f"{room}/ {number}" for room, number in sorted(rooms.items()))
            terminalreporter.write_line(f"{label:<16}{len(nodeids):>6,} tests: {listed}")
    if config.stash[DURATIONS]:
        terminalreporter.section("seconds of the long jobs: lessons headless, on one core, two side by side; the site")
        for label, seconds in sorted(config.stash[DURATIONS].items()):
            terminalreporter.write_line(f"{seconds:6.0f}  {label}")


def is_result(report) -> bool:
    return isinstance(report, pytest.TestReport) and (report.when == "call" or not report.passed)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Headless Chromium, for the tests of one file: playwright allows one at a time."""
    from browser import headless_browser

    with headless_browser(tmp_path_factory.mktemp("home")) as browser:
        yield browser


@pytest.fixture(autouse=True)
def not_strict(monkeypatch):
    """Every test starts as a learner does, whatever a test before it has set."""
    monkeypatch.delenv("CL_COURSE_STRICT", raising=False)
