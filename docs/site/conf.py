"""Configuration of Sphinx."""

from pygments.lexers.special import TextLexer

from ferminet import __version__

project = "FermiNet benchmarks"
version = release = __version__
project_copyright = "the FermiNet benchmarks developers"

# Pages are CommonMark with tables and anchors as on GitHub, so that they read the same there.
extensions = ["myst_parser"]
myst_enable_extensions = ["fieldlist"]
myst_disable_syntax = ["myst_line_comment", "myst_block_break", "myst_target", "substitution"]
myst_heading_anchors = 4
highlight_language = "text"
# Signatures with many arguments have a line for each.
maximum_signature_line_length = 88
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "pydata_sphinx_theme"
html_title = project
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "show_toc_level": 2,
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_center": [],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_context = {"default_mode": "auto"}
html_sidebars = {"index": [], "contributing": [], "changelog": []}


def setup(app):
    """Let CSV be shown as plain text: Pygments does not know it."""
    app.add_lexer("csv", TextLexer)
