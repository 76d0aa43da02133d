"""How well a policy drives, and how that is shown.

`evaluate` measures a model over many episodes in closed loop. `run_report.write_run` turns one
recorded run into results, a video and a page:

- `run_data` reads the bag into arrays and `run_views` streams its images; `run_results` and
  `run_missing` say what they tell and what they cannot;
- `figures`, `figure_road`, `figure_neurons` draw, `figure_style` says how;
- `dashboard` and `screen_text` draw one picture of the video, `video` encodes it;
- `page` and `page_style` set the report.
"""
