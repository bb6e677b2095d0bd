// Curves: what was measured as a band from the least to the most of every stretch, a
// line on top, smoothed only where it says so.
import uPlot from "uplot";
import { colour, onTheme, say } from "./dom";

/** Curve is one line: x rises; lo and hi are the extremes of the stretch behind each
 * point, the same as y where nothing was left out. */
export interface Curve { name: string; colour: number; x: number[]; y: (number | null)[]; lo: (number | null)[]; hi: (number | null)[] }

export interface Spec { id: string; title: string; read: string; log: boolean; unit?: string; floor?: { y: number; name: string } }

export interface View { log: boolean; smooth: number; xName: string }

/** smooth returns the exponential mean of y, without the pull towards the beginning. */
export function smooth(y: (number | null)[], by: number): (number | null)[] {
	if (!(by > 0)) return y;
	let sum = 0, weight = 0;
	return y.map((v) => {
		if (v === null || !Number.isFinite(v)) return null;
		sum = by * sum + (1 - by) * v;
		weight = by * weight + (1 - by);
		return sum / weight;
	});
}

/** digits writes a number for people. */
export function digits(v: number | null | undefined): string {
	if (v === null || v === undefined || !Number.isFinite(v)) return "–";
	const a = Math.abs(v);
	if (a >= 1e5) return v.toExponential(1);
	if (a >= 100) return v.toFixed(0);
	if (a >= 10) return v.toFixed(1);
	if (a >= 0.1 || a === 0) return v.toFixed(2);
	return v.toPrecision(2);
}

const dashes = [undefined, [6, 3], [2, 3]];

/** Chart is one picture with its title, reading, table and files. */
export class Chart {
	readonly element = document.createElement("section");
	private plot = document.createElement("div");
	private body = document.createElement("tbody");
	private head = document.createElement("tr");
	private details = document.createElement("details");
	private noteLine = document.createElement("span");
	private legend = document.createElement("ul");
	private u: uPlot | null = null;
	private curves: Curve[] = [];
	private data: uPlot.AlignedData = [[]];
	private view: View = { log: true, smooth: 0, xName: "step" };
	private shape = "";
	private cursor = -1;

	constructor(readonly spec: Spec) {
		const e = this.element, id = "chart-" + spec.id;
		e.className = "chart";
		e.setAttribute("aria-labelledby", id);
		const title = document.createElement("h3");
		title.id = id;
		this.noteLine.className = "muted small";
		title.append(spec.title, this.noteLine);
		this.plot.className = "plot";
		this.plot.tabIndex = 0;
		this.plot.setAttribute("role", "application");
		this.plot.setAttribute("aria-roledescription", "chart");
		this.plot.dataset.keys = "";
		this.legend.className = "legend";
		const read = document.createElement("p");
		read.className = "read";
		read.textContent = spec.read;
		const summary = document.createElement("summary");
		summary.textContent = "As table, CSV, PNG";
		const files = document.createElement("p");
		files.className = "row";
		files.append(this.button("CSV", () => this.save(new Blob([this.csv()], { type: "text/csv" }), ".csv")),
			this.button("PNG", () => this.u?.ctx.canvas.toBlob((b) => { if (b) this.save(b, ".png"); })));
		const scroll = document.createElement("div");
		scroll.className = "table scroll";
		scroll.tabIndex = 0;
		scroll.setAttribute("role", "region");
		scroll.setAttribute("aria-label", "Values of " + spec.title);
		const table = document.createElement("table"), thead = document.createElement("thead");
		thead.append(this.head);
		table.append(thead, this.body);
		scroll.append(table);
		this.details.append(summary, files, scroll);
		this.details.addEventListener("toggle", () => this.table());
		e.append(title, this.legend, this.plot, read, this.details);
		this.plot.addEventListener("keydown", (k) => this.key(k));
		new ResizeObserver(() => this.u?.setSize(this.size())).observe(this.plot);
		onTheme(() => { this.shape = ""; this.draw(); });
	}

	private button(text: string, f: () => void): HTMLButtonElement {
		const b = document.createElement("button");
		b.type = "button";
		b.textContent = text;
		b.setAttribute("aria-label", `${text} of ${this.spec.title}`);
		b.addEventListener("click", f);
		return b;
	}

	private size() { return { width: Math.max(200, this.plot.clientWidth), height: 240 }; }

	/** set shows curves. The picture is built anew only where its shape changes. */
	set(curves: Curve[], view: View) {
		this.curves = curves;
		this.view = view;
		this.draw();
	}

	private draw() {
		if (!this.element.isConnected) return;
		const view = this.view;
		const positive = (v: number | null) => v !== null && Number.isFinite(v) && (!this.log() || v > 0) ? v : null;
		const parts: uPlot.AlignedData[] = this.curves.map((c) => [c.x, smooth(c.y, view.smooth).map(positive), c.lo.map(positive), c.hi.map(positive)] as uPlot.AlignedData);
		this.data = parts.length ? uPlot.join(parts) : [[]];
		const shape = JSON.stringify([this.curves.map((c) => [c.name, c.colour]), this.log(), view.xName, view.smooth > 0]);
		if (shape === this.shape && this.u) this.u.setData(this.data);
		else this.build(shape);
		this.noteLine.textContent = [this.spec.unit, this.log() ? "log" : "", view.smooth > 0 ? `smoothed ${view.smooth}` : ""].filter(Boolean).join(" · ");
		const last = this.curves.map((c) => `${c.name} ${digits(c.y.at(-1))}`).join(", ");
		this.plot.setAttribute("aria-label", `${this.spec.title}: last ${last}. Left and right arrows read values.`);
		if (this.details.open) this.table();
	}

	private log(): boolean { return this.spec.log && this.view.log; }

	private build(shape: string) {
		this.shape = shape;
		this.u?.destroy();
		const text = colour("--muted"), grid = colour("--line"), ground = colour("--ground");
		const series: uPlot.Series[] = [{ label: this.view.xName }], bands: uPlot.Band[] = [];
		this.curves.forEach((c, i) => {
			const stroke = colour(`--s${c.colour % 5 + 1}`), dash = dashes[Math.floor(c.colour / 5) % 3];
			series.push({ label: c.name, stroke, width: 2, dash, spanGaps: true, points: { show: false } },
				{ label: c.name + " least", stroke: "transparent", points: { show: false }, spanGaps: true },
				{ label: c.name + " most", stroke: "transparent", points: { show: false }, spanGaps: true });
			bands.push({ series: [3 * i + 3, 3 * i + 2], fill: stroke.replace("rgb(", "rgba(").replace(")", ", 0.2)") });
		});
		const font = "12px system-ui, DejaVu Sans, sans-serif";
		const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font };
		const o: uPlot.Options = {
			...this.size(), series, bands,
			padding: [8, 18, 0, 0],
			legend: { show: false },
			cursor: { sync: { key: "runs" }, drag: { x: true, y: false }, points: { size: 7 } },
			scales: { x: { time: false }, y: this.log() ? { distr: 3, log: 10 } : {} },
			axes: [{ ...axis, size: 34, values: (_, v) => v.map((x) => x >= 1e6 ? x / 1e6 + "M" : x >= 1e4 ? x / 1e3 + "k" : String(+x.toPrecision(6))) },
				{ ...axis, size: 62, values: (_, v) => v.map((y) => y === null ? "" : digits(y)) }],
			hooks: {
				draw: [(u) => this.floorLine(u, text, ground)],
				setCursor: [(u) => this.read(u)],
			},
		};
		this.plot.replaceChildren();
		this.u = new uPlot(o, this.data, this.plot);
		this.legend.replaceChildren(...(this.curves.length > 1 ? this.curves.map((c) => {
			const li = document.createElement("li"), key = document.createElement("span"), name = document.createElement("span");
			key.className = `key c${c.colour % 5 + 1}`;
			name.textContent = c.name;
			li.append(key, name);
			return li;
		}) : []));
	}

	/** floorLine draws the value that the curve is held against. */
	private floorLine(u: uPlot, text: string, ground: string) {
		const f = this.spec.floor;
		if (!f) return;
		const min = u.scales.y.min, max = u.scales.y.max;
		if (min === undefined || max === undefined || min === null || max === null || f.y < min || f.y > max) return;
		const g = u.ctx, y = u.valToPos(f.y, "y", true), scale = devicePixelRatio || 1;
		g.save();
		g.strokeStyle = text;
		g.setLineDash([4 * scale, 4 * scale]);
		g.beginPath();
		g.moveTo(u.bbox.left, y);
		g.lineTo(u.bbox.left + u.bbox.width, y);
		g.stroke();
		g.font = `${12 * scale}px system-ui, DejaVu Sans, sans-serif`;
		g.textAlign = "left";
		g.lineWidth = 4 * scale;
		g.setLineDash([]);
		g.strokeStyle = ground;
		g.fillStyle = text;
		g.strokeText(f.name, u.bbox.left + 4 * scale, y - 5 * scale);
		g.fillText(f.name, u.bbox.left + 4 * scale, y - 5 * scale);
		g.restore();
	}

	/** read writes the values under the cursor beside the title. */
	private read(u: uPlot) {
		const i = u.cursor.idx;
		if (i === null || i === undefined) {
			this.noteLine.textContent = [this.spec.unit, this.log() ? "log" : "", this.view.smooth > 0 ? `smoothed ${this.view.smooth}` : ""].filter(Boolean).join(" · ");
			return;
		}
		this.noteLine.textContent = this.at(i);
	}

	private at(i: number): string {
		const x = this.data[0][i];
		const values = this.curves.map((c, k) => (this.curves.length > 1 ? c.name + " " : "") + digits(this.data[3 * k + 1]?.[i]));
		return `${this.view.xName} ${digits(x)}: ${values.join(", ")}`;
	}

	private key(e: KeyboardEvent) {
		const n = this.data[0].length, by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -n, End: n }[e.key];
		if (by === undefined || !n || !this.u || e.ctrlKey || e.metaKey || e.altKey) return;
		e.preventDefault();
		this.cursor = Math.min(Math.max(0, (this.cursor < 0 ? n : this.cursor) + by), n - 1);
		this.u.setCursor({ left: this.u.valToPos(this.data[0][this.cursor], "x"), top: 20 });
		say(this.at(this.cursor));
	}

	private table() {
		if (!this.details.open) return;
		const cell = (tag: string, text: string) => Object.assign(document.createElement(tag), { textContent: text, className: "num" });
		const heads = [this.view.xName, ...this.curves.map((c) => c.name)].map((t) => cell("th", t));
		for (const h of heads) h.setAttribute("scope", "col");
		this.head.replaceChildren(...heads);
		const n = this.data[0].length, every = Math.max(1, Math.ceil(n / 200));
		const rows: HTMLElement[] = [];
		for (let i = 0; i < n; i++) {
			if (i % every && i !== n - 1) continue;
			const tr = document.createElement("tr");
			tr.append(cell("td", String(this.data[0][i])), ...this.curves.map((_, k) => cell("td", digits(this.data[3 * k + 1]?.[i]))));
			rows.push(tr);
		}
		this.body.replaceChildren(...rows);
	}

	private csv(): string {
		const quote = (s: string) => /[",\n]/.test(s) ? `"${s.replaceAll('"', '""')}"` : s;
		const lines = [[this.view.xName, ...this.curves.flatMap((c) => [c.name, c.name + " least", c.name + " most"])].map(quote).join(",")];
		this.data[0].forEach((x, i) => lines.push([x, ...this.data.slice(1).map((col) => col[i] ?? "")].join(",")));
		return lines.join("\n") + "\n";
	}

	private save(blob: Blob, end: string) {
		const a = document.createElement("a");
		a.href = URL.createObjectURL(blob);
		a.download = this.spec.id + end;
		a.click();
		setTimeout(() => URL.revokeObjectURL(a.href), 10000);
	}
}
