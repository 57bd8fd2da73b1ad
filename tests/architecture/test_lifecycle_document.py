from django.conf import settings

from controlplane.management.commands.draw_lifecycle import draw


def test_document_is_drawn_from_the_table() -> None:
    assert (settings.BASE_DIR / "docs" / "lifecycle.md").read_text() == draw()
