"""A process that draws charts: JSON lines with a Vega-Lite chart in, JSON lines with its SVG and PNG out.

Runs as a script, and imports nothing but the library that draws: that has a browser's engine inside, and
where it meets what it cannot draw, or too little memory, it ends the whole process.
"""

import base64
import json
import sys
from typing import TextIO


def draw(chart: dict[str, object], paper: str, scale: float) -> dict[str, str]:
    """Draw one chart.

    Args:
        chart: the whole Vega-Lite specification, without a background.
        paper: the color behind the PNG.
        scale: pixels of the PNG for each of the chart.
    """
    import vl_convert  # noqa: PLC0415 - in the process of its own alone

    png = vl_convert.vegalite_to_png({**chart, "background": paper}, scale=scale)
    return {"svg": vl_convert.vegalite_to_svg(chart), "png": base64.b64encode(png).decode("ascii")}


def serve(asked: TextIO, answers: TextIO) -> None:
    """Answer each line that asks for a chart."""
    for line in asked:
        try:
            answer = draw(**json.loads(line))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this chart's alone
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
