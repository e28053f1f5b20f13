"""The docs as a site: `make site` writes dist/site. Sphinx with MyST; -W makes a link that leads nowhere an error."""

from mail2fax import __version__

project = "mail2fax"
release = version = __version__
extensions = ["myst_parser"]
html_theme = "furo"
html_title = f"mail2fax {release}"
root_doc = "index"
exclude_patterns = ["README.md"]
html_show_copyright = False
html_copy_source = False
myst_heading_anchors = 4
myst_enable_extensions = ["html_image"]
suppress_warnings = ["misc.highlighting_failure"]  # settings of mail servers in blocks of no language
