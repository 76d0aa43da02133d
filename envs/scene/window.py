"""A window that shows frames, for render_mode "human"."""

from __future__ import annotations

import numpy as np

from liquid_control.errors import InputError

__all__ = ["Window"]


class Window:
    """Shows uint8 RGB frames as they come, at most `rate` a second.

    Args:
        title: of the window.
        rate: [Hz].

    Raises:
        InputError: pygame is not installed.
    """

    def __init__(self, title: str, rate: float) -> None:
        try:
            import pygame
        except ModuleNotFoundError as error:
            raise InputError(
                'render_mode="human" opens a window with pygame, which is not installed: '
                'pip install pygame, or use render_mode="rgb_array".'
            ) from error
        self._pygame, self._title, self._rate = pygame, title, rate
        self._screen = None

    def show(self, frame: np.ndarray) -> None:
        """Show a frame (height, width, 3) uint8 RGB."""
        pygame = self._pygame
        if self._screen is None:
            pygame.display.init()
            pygame.display.set_caption(self._title)
            self._screen = pygame.display.set_mode(frame.shape[1::-1])
            self._clock = pygame.time.Clock()
        surface = pygame.surfarray.make_surface(frame.swapaxes(0, 1))
        self._screen.blit(surface, (0, 0))
        # Without this the desktop takes the window for one that hangs.
        pygame.event.pump()
        pygame.display.flip()
        self._clock.tick(self._rate)

    def close(self) -> None:
        """Close the window, if it was ever open."""
        if self._screen is not None:
            self._pygame.display.quit()
            self._screen = None
