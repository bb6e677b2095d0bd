import { colour } from "./dom";
import { canvasPainter, type Painter, type View } from "./painter";
import type { Points } from "./points";
import { webglPainter } from "./webgl";

export const many = 20000; // points beyond which WebGL2 draws them, where there is any

/** Marks are points that are told from the others, −1 for none. */
export interface Marks { chosen: number; partner: number; under: number }

/** Layers are the two canvases of a map: the points, and above them what marks some of
 * them. The upper one takes the pointer and the keys, and moving a mark draws no point. */
export class Layers {
	readonly top = document.createElement("canvas");
	private points!: HTMLCanvasElement;
	private painter!: Painter;
	private palette: string[] = [];

	/** again is called when the points have to be drawn once more. */
	constructor(private host: HTMLElement, private data: Points, private classOf: Uint8Array, private again: () => void) {
		this.begin(data.ids.length > many);
	}

	/** all returns the canvases, the lower one first. */
	get all(): HTMLCanvasElement[] { return [this.points, this.top]; }

	/** begin makes the canvas of the points and what draws on it. A painter that is lost,
	 * as when a graphics card goes away, is replaced by one that needs none. */
	private begin(gl: boolean) {
		const canvas = document.createElement("canvas");
		canvas.className = "points";
		canvas.setAttribute("aria-hidden", "true");
		const painter = gl ? webglPainter(canvas, this.data, this.classOf) : canvasPainter(canvas, this.data, this.classOf);
		if (!painter) return this.begin(false); // this canvas gives no other context
		painter.lost = () => {
			this.begin(false);
			canvas.replaceWith(this.points);
			this.painter.colours(this.palette);
			this.fit();
			this.again();
		};
		this.points = canvas;
		this.painter = painter;
		this.host.dataset.painter = painter.kind;
	}

	/** colours takes the page's colours as they are now. */
	colours() {
		this.palette = [...[1, 2, 3, 4, 5].map((i) => `--s${i}`), "--muted", "--text", "--ground"].map(colour);
		this.painter.colours(this.palette);
	}

	/** fit makes both canvases as large as they are shown; it says whether they were not. */
	fit(): boolean {
		const scale = devicePixelRatio || 1;
		const w = Math.round(this.top.clientWidth * scale), h = Math.round(this.top.clientHeight * scale);
		let changed = false;
		for (const c of this.all) {
			if (c.width === w && c.height === h) continue;
			c.width = w;
			c.height = h;
			changed = true;
		}
		return changed;
	}

	/** paint draws the marks, and the points too if all is to be drawn. A dashed line joins
	 * the chosen point to its partner. */
	paint(v: View, all: boolean, m: Marks) {
		if (all) this.painter.paint(v);
		const g = this.top.getContext("2d")!, [text, ground] = this.palette.slice(6);
		const place = (i: number): [number, number] => [v.left + this.data.x[i] * v.side, v.top + this.data.y[i] * v.side];
		g.setTransform(v.scale, 0, 0, v.scale, 0, 0);
		g.clearRect(0, 0, v.width, v.height);
		if (m.partner >= 0) {
			g.strokeStyle = text;
			g.lineWidth = 2;
			g.setLineDash([6, 3]);
			g.beginPath();
			g.moveTo(...place(m.chosen));
			g.lineTo(...place(m.partner));
			g.stroke();
			g.setLineDash([]);
		}
		for (const [i, r] of [[m.under, v.size + 4], [m.partner, v.size + 4], [m.chosen, v.size + 6]]) {
			if (i < 0) continue;
			for (const [style, width] of [[ground, 5], [text, 2.5]] as [string, number][]) {
				g.strokeStyle = style;
				g.lineWidth = width;
				g.beginPath();
				g.arc(...place(i), r, 0, 7);
				g.stroke();
			}
		}
	}
}
