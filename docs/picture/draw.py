"""Draws what a terminal showed: draw.py SCREEN PICTURE. SCREEN has the terminal's own colour sequences."""

import io
import re
import sys

from rich.console import Console
from rich.text import Text

screen, picture = sys.argv[1:]
with open(screen, encoding="utf-8") as file:
    lines = file.read().rstrip().split("\n")
# Omit the last prompt, which waits for the next command.
while lines and lines[-1].strip() in ("", "$"):
    lines.pop()
console = Console(record=True, width=124, file=io.StringIO(), force_terminal=True, color_system="truecolor")
console.print(Text.from_ansi("\n".join(lines)), overflow="crop", no_wrap=True)
drawn = console.export_svg(title="vgpuctl", unique_id="vgpuctl")
# The picture must not load anything: use the viewer's font.
drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)
with open(picture, "w", encoding="utf-8") as file:
    file.write(drawn)
