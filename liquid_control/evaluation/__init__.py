"""How well a policy drives, and how that is shown.

`evaluate` measures a model over many episodes in closed loop. `run_report.write_run` turns one
recorded run into results, a video and a page:

- `run_data` reads the bag into arrays and `run_views` streams its images; `run_results` and
  `run_missing` say what they tell and what they cannot;
- `figures`, `figure_road`, `figure_neurons` draw, `figure_style` says how;
- `dashboard` and `screen_text` draw one picture of the video, `video` encodes it;
- `page`, `page_parts` and `page_style` set the report.

An evaluation becomes a page by `suite_report.write_report`: `suite_data` reads its folder,
`suite_figures` and `suite_roads` draw, `suite_video` (with `suite_map`) drives the worst episodes
again, `suite_page` sets the page. `open_loop_command.measure` compares commands with recorded ones:
`open_loop_recordings` runs the models, `open_loop_figures` and `open_loop_autonomy` measure,
`open_loop_charts` and `open_loop_page` show it.
"""
