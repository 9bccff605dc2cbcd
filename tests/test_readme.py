"""README.md says what is so."""

import re
from pathlib import Path

from channel_sync import bootstrap, channel_table

README = Path(__file__).parent.parent / "README.md"


def test_the_table_of_channels_is_what_the_channels_declare() -> None:
    """The table between the markers is the one that `channel-sync channels` prints."""
    found = re.search(
        "<!-- channels -->\n(.*?)\n<!-- /channels -->", README.read_text(encoding="utf-8"), re.DOTALL
    )

    assert found
    assert channel_table.markdown(bootstrap.declarations()) == found[1]


def test_every_file_that_the_readme_links_to_is_there() -> None:
    """No link into the checkout is dead."""
    links = re.findall(r"\]\((?!http)([^)#]+)", README.read_text(encoding="utf-8"))

    assert links
    assert [] == [link for link in links if not (README.parent / link).exists()]
