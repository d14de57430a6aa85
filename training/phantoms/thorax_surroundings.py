"""What lies around and on the patient of the thorax phantom: table, cushion, clothes, wires, metal."""

from torch import Tensor

from training.phantoms.fields import Draw
from training.phantoms.thorax_build import Canvas, squared


def paint_surroundings(canvas: Canvas, draw: Draw, *, plain: bool) -> None:
    """Nothing of it changes the lungs."""
    if draw.chance(0.9):
        _paint_table(canvas, draw, prone=draw.chance(0.04) and not plain)
    if draw.chance(0.5) and not plain:
        _paint_clothes(canvas, draw)
    if draw.chance(0.4):
        for _ in range(draw.count(1, 4)):
            _paint_metal(canvas, draw)
    if draw.chance(0.3) and not plain:
        _paint_wire(canvas, draw)


def _paint_table(canvas: Canvas, draw: Draw, *, prone: bool) -> None:
    """Thin, hard, curved shells around foam; at times a cushion, a second shell below and rails."""
    grid = canvas.grid
    _, y, x = grid.axes_mm
    occupied = canvas.body.any(dim=2).any(dim=0).nonzero()
    rows = y.view(-1)
    ends = (float(rows[int(occupied[0])]), float(rows[int(occupied[-1])])) if len(occupied) else (-110.0, 110.0)
    y, back_mm = (-y, -ends[0]) if prone else (y, ends[1])
    below = y - back_mm - draw.uniform(-4, 20) + x**2 * (draw.uniform(0, 0.0022) if draw.chance(0.75) else 0.0)
    depth, half, shell = draw.uniform(6, 70), draw.uniform(170, 260), draw.uniform(1.0, 4.0)
    across = x.abs() < half
    board = ((below > 0) & (below < depth) & across).expand(grid.shape) & ~canvas.body
    canvas.fill(board, draw.uniform(-990, -880))
    skin = ((below < shell) | (below > depth - shell) | (x.abs() > half - shell)).expand(grid.shape)
    canvas.fill(board & skin, draw.uniform(-700, 250))
    if draw.chance(0.4):
        cushion = ((below < 0) & (below > -draw.uniform(6, 25)) & (x.abs() < half * 0.8)).expand(grid.shape) & ~canvas.body
        canvas.fill(cushion, draw.uniform(-985, -820))
    if draw.chance(0.4):
        lower = (below - depth - draw.uniform(15, 60)).abs() < draw.uniform(1, 4)
        canvas.fill((lower & across).expand(grid.shape) & ~canvas.body, draw.uniform(-700, 100))


def _paint_clothes(canvas: Canvas, draw: Draw) -> None:
    """Folds of cloth or a blanket over the patient: thin uneven shells beyond the skin."""
    folds = draw.smooth(canvas.grid, draw.uniform(20, 60)) * draw.uniform(2, 8)
    width = canvas.build.cage_width + canvas.build.wall + canvas.build.fat
    depth = canvas.build.cage_depth + canvas.build.wall + canvas.build.fat
    beyond = (squared(canvas.x / width, canvas.y / depth).sqrt() - 1) * depth + folds
    for _ in range(draw.count(1, 3)):
        shell = (beyond - draw.uniform(0, 30)).abs() < draw.uniform(0.6, 2.0)
        canvas.fill(shell & ~canvas.body & (canvas.y < depth * draw.uniform(-0.5, 0.6)), draw.uniform(-960, -500))


def _paint_metal(canvas: Canvas, draw: Draw) -> None:
    places = [int(draw.uniform(0.1, 0.9) * count) for count in canvas.grid.shape]
    radius = draw.uniform(1.5, 7)
    box = canvas.grid.box(places, radius)
    ball = _distance_squared(canvas, box, places) < radius**2
    canvas.hu[box][ball & canvas.body[box] & ~canvas.lungs[box]] = draw.uniform(500, 3000)


def _distance_squared(canvas: Canvas, box: tuple[slice, slice, slice], places: list[int]) -> Tensor:
    z, y, x = canvas.grid.axes_mm
    centre = z[places[0]], y[0, places[1]], x[0, 0, places[2]]
    return squared(z[box[0]] - centre[0], y[:, box[1]] - centre[1], x[:, :, box[2]] - centre[2])


def _paint_wire(canvas: Canvas, draw: Draw) -> None:
    """A lead in the heart's vessels or an electrode's cable on the skin."""
    course = draw.smooth(canvas.grid, (40, 300, 300)) * 15, draw.smooth(canvas.grid, (40, 300, 300)) * 10
    start = draw.uniform(-60, 60), canvas.build.cage_depth * draw.uniform(-1.2, 0.2)
    wire = squared(canvas.x - start[0] + course[0], canvas.y - start[1] + course[1]) < draw.uniform(1.0, 2.0) ** 2
    canvas.fill(wire & ~canvas.lungs & (canvas.z > draw.uniform(-80, 60)), draw.uniform(300, 3000))
