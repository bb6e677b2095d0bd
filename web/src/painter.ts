// What draws the points of the map: on a 2D canvas here, by WebGL2 in webgl.ts.
import type { Points } from "./points";

export const classes = 11; // labels with a mark of their own; the rest is grey
const whole = 20000; // points that a 2D canvas draws even while the map moves

/** A View is where the map stands, in pixels of the page: a point of the map at x, y
 * lies at left + x·side, top + y·side. */
export interface View {
	width: number; height: number;
	scale: number; // pixels of the canvas for one of the page
	left: number; top: number; side: number;
	size: number; // radius of a mark
	only: number; // the class that is shown, −1 for all
	moving: boolean; // less will do
}

/** A Painter draws points on a canvas that it owns. */
export interface Painter {
	readonly kind: "2d" | "webgl2";
	/** colours sets those of the classes 0 … 4, which repeat, and grey. */
	colours(palette: string[]): void;
	paint(v: View): void;
	/** lost is called when the painter can paint no more. */
	lost?: () => void;
}

/** radius returns that of a mark: small where there are many, larger from near. */
export function radius(points: number, zoom: number): number {
	return Math.min(7, Math.max(points > 5000 ? 1.5 : points > 500 ? 2.5 : 4, 2 + zoom / 3));
}

/** inClasses returns the points of each class, in their order. */
function inClasses(classOf: Uint8Array): Uint32Array[] {
	const lists: number[][] = Array.from({ length: classes + 1 }, () => []);
	classOf.forEach((k, i) => lists[k].push(i));
	return lists.map((l) => Uint32Array.from(l));
}

/** canvasPainter draws class by class, one colour and one shape at a time: grey first,
 * the most frequent label last. Of very many points it draws every so manyth while the
 * map moves. */
export function canvasPainter(canvas: HTMLCanvasElement, points: Points, classOf: Uint8Array): Painter {
	const g = canvas.getContext("2d")!, lists = inClasses(classOf);
	let palette: string[] = [];
	return {
		kind: "2d",
		colours(p) { palette = p; },
		paint(v) {
			g.setTransform(v.scale, 0, 0, v.scale, 0, 0);
			g.clearRect(0, 0, v.width, v.height);
			const every = v.moving ? Math.ceil(classOf.length / whole) : 1;
			const { x, y } = points, reach = v.size * 1.3;
			for (let k = classes; k >= 0; k--) {
				if (v.only >= 0 && k !== v.only) continue;
				const grey = k === classes, shape = grey ? 0 : Math.floor(k / 5), list = lists[k];
				g.fillStyle = palette[grey ? 5 : k % 5];
				g.beginPath();
				for (let j = 0; j < list.length; j += every) {
					const px = v.left + x[list[j]] * v.side, py = v.top + y[list[j]] * v.side;
					if (px < -reach || py < -reach || px > v.width + reach || py > v.height + reach) continue;
					mark(g, shape, px, py, v.size);
				}
				g.fill();
			}
		},
	};
}

/** mark adds a point's shape to the path: a disc, a square, a triangle. webgl.ts draws
 * the same ones. */
function mark(g: CanvasRenderingContext2D, shape: number, x: number, y: number, r: number) {
	switch (shape) {
	case 0:
		g.moveTo(x + r, y);
		g.arc(x, y, r, 0, 7);
		break;
	case 1:
		g.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
		break;
	default:
		g.moveTo(x, y - r * 1.2);
		g.lineTo(x + r * 1.1, y + r * 0.8);
		g.lineTo(x - r * 1.1, y + r * 0.8);
		g.closePath();
	}
}

/** shapeOf returns the same shape for the legend. */
export function shapeOf(shape: number): SVGPathElement {
	const d = ["M5 0A5 5 0 1 1-5 0A5 5 0 1 1 5 0", "M-4.5-4.5H4.5V4.5H-4.5Z", "M0-5.5L5 4H-5Z"][shape] ?? "";
	const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
	path.setAttribute("d", d);
	path.setAttribute("fill", "currentColor");
	return path;
}
