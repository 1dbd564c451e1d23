"""Sphinx: Markdown by MyST, the theme furo, search without a server. Nothing is loaded from elsewhere."""

project = "Lakehouse ML"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 4  # as GitHub has them, so that links work in both places
html_theme = "furo"
html_title = "Lakehouse ML"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_show_search_summary = False  # a page opened as a file may not read others for it
smartquotes = False  # `--option` in a sentence stays two hyphens
pygments_style = "friendly"
pygments_dark_style = "monokai"
# Blocks of output and of dbt's Jinja are no SQL or JSON that a lexer knows.
suppress_warnings = ["misc.highlighting_failure"]
