import numpy as np
import pytest
from model_rigs import studio

from models.cutting import ViewCutter, cut_window
from models.geometry import view_to_image
from models.views import View


@pytest.fixture
def rig():
    return studio(2)


def ramp(camera):
    """A picture whose brightness tells the column, red, and the row, green, of each pixel in 255 steps."""
    across = np.linspace(0, 255, camera.width)[None].repeat(camera.height, 0)
    down = np.linspace(0, 255, camera.height)[:, None].repeat(camera.width, 1)
    return np.stack([across, down, np.zeros_like(across)], -1).astype(np.uint8)


def test_a_window_of_the_networks_size_is_what_the_network_sees(rig):
    camera = rig.cameras[1]
    view = View(np.array([[1.4, 0, 0], [0, 1.4, 0], [0, 0, 1]]) @ rig.views[1].K)
    np.testing.assert_array_equal(
        cut_window(camera, ramp(camera), view, 256), ViewCutter(rig).cut(1, ramp(camera), view)
    )


@pytest.mark.parametrize("size", [256, 512])
def test_a_window_shows_the_image_where_the_heatmap_says(rig, size):
    camera, view = rig.cameras[0], rig.views[0]
    window = cut_window(camera, ramp(camera), view, size)
    assert window.shape == (size, size, 3)
    places = np.array([[100, 200], [133, 90], [150, 150]]) * size // 256
    x, y = view_to_image(camera, view, (places + 0.5) * 64 / size - 0.5).T
    seen = window[places[:, 1], places[:, 0]]
    np.testing.assert_allclose(seen[:, 0], x * 255 / (camera.width - 1), atol=2)
    np.testing.assert_allclose(seen[:, 1], y * 255 / (camera.height - 1), atol=2)
