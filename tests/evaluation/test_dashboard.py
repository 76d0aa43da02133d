"""The video's pictures: sides, signs and text that must not run out of the picture."""

import numpy as np
import pytest

from liquid_control.evaluation.dashboard import HEIGHT, SIDE, SIDE_WIDTH, WIDTH, Dashboard, Reading
from liquid_control.evaluation.screen_text import fitted, text_width, write

IMAGE = np.full((78, 200, 3), 128, np.uint8)


def changed_columns(board: Dashboard, first: Reading, second: Reading) -> np.ndarray:
    """Columns of the gauge (right of the images) that differ between two readings."""
    pictures = [board.draw(IMAGE, IMAGE, reading).astype(int) for reading in (first, second)]
    top = board.gauge_top + 30
    return np.flatnonzero(np.abs(pictures[0] - pictures[1])[top : top + 8].sum(axis=(0, 2)))


def test_a_command_to_the_left_fills_the_left_half_of_its_gauge():
    board = Dashboard("title", output="curvature", reach=0.06)
    still = Reading(1.0, output="curvature", asked=0.0)
    middle = SIDE + SIDE_WIDTH // 2
    left = changed_columns(board, still, Reading(1.0, output="curvature", asked=0.03))
    right = changed_columns(board, still, Reading(1.0, output="curvature", asked=-0.03))
    assert left.max() < middle < right.min()
    assert len(left) == len(right) == SIDE_WIDTH // 4


@pytest.mark.parametrize("shape", [(78, 200, 3), (120, 160, 3), (1080, 1920, 3), (1, 1, 3)])
def test_any_camera_is_shown_whole(shape):
    picture = Dashboard("").draw(np.full(shape, 255, np.uint8), None, Reading(0.0))
    assert picture.shape == (HEIGHT, WIDTH, 3)
    white = (picture[64:376, 24:824] == 255).all(axis=2)
    rows, columns = np.flatnonzero(white.any(axis=1)), np.flatnonzero(white.any(axis=0))
    assert np.ptp(columns) / np.ptp(rows) == pytest.approx(shape[1] / shape[0], rel=0.02)


def test_many_neurons_fit_on_the_picture():
    names = (*(f"inter_{i}" for i in range(40)), "motor_0")
    board = Dashboard("", names, lateral=1.0, output="curvature")
    bottoms = [top + tall for top, tall, _ in board.rows.values()]
    assert len(board.rows) == 41
    assert bottoms == sorted(bottoms)
    assert bottoms[-1] < HEIGHT


def test_a_long_title_is_cut_with_an_ellipsis():
    text = fitted("word " * 50, 300, 20)
    assert text.endswith("…")
    assert text_width(text, 20) <= 300
    assert fitted("short", 300, 20) == "short"


@pytest.mark.parametrize("place", [(-20, 5), (95, 39), (50, 200), (50, -50)])
def test_text_over_the_edge_is_clipped(place):
    canvas = np.zeros((40, 100, 3), np.uint8)
    write(canvas, place, "text", (255, 255, 255), 14)
    assert canvas.shape == (40, 100, 3)
