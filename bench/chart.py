"""A bar chart as SVG: one panel a figure, one bar a contestant, the ratio to the first written beside it."""

from html import escape

PANEL, BAR, LEFT, WIDTH = 84, 22, 110, 420
COLOURS = ("#9aa5b1", "#0b7285", "#e8590c")
Panels = dict[str, dict[str, float]]


def bars(panels: Panels) -> str:
    """Each panel has a scale of its own."""
    body = [_panel(title, values, number * PANEL) for number, (title, values) in enumerate(panels.items())]
    size = f'width="{LEFT + WIDTH + 170}" height="{len(panels) * PANEL}"'
    style = "<style>text{font:13px system-ui,sans-serif;fill:#495057}.t{font-weight:600}</style>"
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">{style}{"".join(body)}</svg>\n'


def _panel(title: str, values: dict[str, float], top: int) -> str:
    most, first = max(values.values()) or 1, next(iter(values.values())) or 1
    parts = [f'<text class="t" x="0" y="{top + 16}">{escape(title)}</text>']
    for number, (name, value) in enumerate(values.items()):
        y, length = top + 24 + number * (BAR + 4), WIDTH * value / most
        parts.append(f'<text x="0" y="{y + 16}">{escape(name)}</text>')
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{length:.0f}" height="{BAR}" fill="{COLOURS[number % 3]}"/>')
        label = f"{value:,.0f} ({value / first:.2f} ×)"
        parts.append(f'<text x="{LEFT + length + 8:.0f}" y="{y + 16}">{label}</text>')
    return "".join(parts)
