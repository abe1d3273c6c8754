"""The words of figures over all scores on what was run."""

from waypoint.workflow.figures.read_scores import in_words


def test_titles_count_what_was_run():
    assert in_words({"targets": 4, "images": 500, "models": 3}) == "4 targets, 500 training images, 3 models"
    assert in_words({"targets": 1, "images": 2, "models": 1}) == "1 target, 2 training images, 1 model"
    assert in_words({"targets": 2, "images": 9, "models": 0}) == "2 targets, 9 training images"
