// The map: every clip a point, near ones alike. Canvas, with a list of what is in view
// as an equal way in.
import { select } from "d3-selection";
import { zoom, zoomIdentity, type ZoomTransform } from "d3-zoom";
import KDBush from "kdbush";
import { html, nothing, render } from "lit";
import { $, colour, load, note, onTheme, say, type Problem } from "./dom";
import { readMap, type Points } from "./points";

interface Clip { id: string; name: string; labels: string[]; has_video: boolean; has_audio: boolean; duration_seconds: number }
interface Hit { clip: Clip; score: number }

const classes = 11; // labels with a mark of their own; the rest is grey
const reach = 14; // pixels from a point that still mean it
const dwell = 120; // milliseconds before a point sounds
const listed = 60; // points in the list
const whole = 20000; // points that are drawn even while the map moves

class ClipMap extends HTMLElement {
	private points!: Points;
	private tree!: KDBush;
	private canvas!: HTMLCanvasElement;
	private tip!: HTMLElement;
	private at: ZoomTransform = zoomIdentity;
	private behaviour = zoom<HTMLCanvasElement, unknown>();
	private chosen = -1;
	private under = -1;
	private only: string | null = null;
	private names: string[] = [];
	private classOf!: Uint8Array;
	private hover = false;
	private frame = 0;
	private moved = -1000;
	private timer = 0;
	private audio = new Audio();
	private clips = new Map<string, Promise<Clip>>();
	private palette: string[] = [];

	connectedCallback() { this.begin(); }

	private async begin() {
		const slot = $("[data-slot=map]", this)!, caption = $("[data-slot=caption]", this)!;
		caption.textContent = "Loading the map…";
		try {
			this.points = await readMap(this.dataset.url!);
		} catch (p) {
			slot.replaceWith(note(p as Problem));
			caption.textContent = "";
			return;
		}
		const n = this.points.ids.length;
		this.tree = new KDBush(n, 64, Float32Array);
		for (let i = 0; i < n; i++) this.tree.add(this.points.x[i], this.points.y[i]);
		this.tree.finish();
		this.classify();
		const all = this.points.all > n ? `${n} of ${this.points.all} clips, a fixed sample` : `${n} points, all shown`;
		caption.textContent = `${all} · ${this.points.method} · near points are alike; distances between groups mean nothing`;
		this.build(slot);
		this.legend();
		onTheme(() => { this.colours(); this.draw(); });
		this.colours();
		new ResizeObserver(() => this.resize()).observe(slot);
		this.resize();
		const start = this.dataset.clip ? this.points.ids.indexOf(this.dataset.clip) : -1;
		if (start >= 0) {
			this.choose(start);
			this.centre(start, 4);
		}
		$<HTMLSelectElement>("[data-do=space]", this)!.addEventListener("change", (e) => (e.target as HTMLSelectElement).form!.requestSubmit());
		const hover = $<HTMLButtonElement>("[data-do=hover]", this)!;
		hover.hidden = false;
		hover.addEventListener("click", () => this.setHover(!this.hover));
		this.audio.preload = "auto";
	}

	/** classify gives the most frequent labels a mark each. */
	private classify() {
		const count = new Map<string, number>();
		for (const l of this.points.labels) if (l) count.set(l, (count.get(l) ?? 0) + 1);
		this.names = [...count].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, classes).map(([l]) => l);
		this.classOf = Uint8Array.from(this.points.labels, (l) => {
			const i = this.names.indexOf(l);
			return i < 0 ? classes : i;
		});
	}

	private colours() {
		this.palette = [1, 2, 3, 4, 5].map((i) => colour(`--s${i}`));
		this.palette.push(colour("--muted"), colour("--text"), colour("--ground"), colour("--link"));
	}

	private build(slot: HTMLElement) {
		this.canvas = document.createElement("canvas");
		this.canvas.tabIndex = 0;
		this.canvas.dataset.keys = "";
		this.canvas.setAttribute("role", "application");
		this.canvas.setAttribute("aria-roledescription", "map");
		this.canvas.setAttribute("aria-label", "Map of clips. Arrows move, plus and minus zoom, n and p go to the next and previous point, Enter chooses it, h switches sound.");
		this.tip = document.createElement("div");
		this.tip.className = "tip";
		this.tip.hidden = true;
		const buttons = document.createElement("div");
		buttons.className = "zoom";
		for (const [text, label, f] of [["+", "Zoom in", () => this.scale(1.6)], ["−", "Zoom out", () => this.scale(1 / 1.6)], ["⤢", "Show all", () => this.reset()]] as [string, string, () => void][]) {
			const b = document.createElement("button");
			b.type = "button";
			b.textContent = text;
			b.setAttribute("aria-label", label);
			b.addEventListener("click", f);
			buttons.append(b);
		}
		slot.replaceChildren(this.canvas, this.tip, buttons);
		this.behaviour.scaleExtent([0.8, 200]).on("zoom", (e) => {
			this.at = e.transform;
			this.moved = performance.now();
			this.draw();
			if (this.points.ids.length > whole) setTimeout(() => this.draw(), 250);
			this.listLater();
		});
		select(this.canvas).call(this.behaviour).on("dblclick.zoom", null);
		this.canvas.addEventListener("pointermove", (e) => { if (e.pointerType !== "touch") this.point(this.nearest(e.offsetX, e.offsetY)); });
		this.canvas.addEventListener("pointerleave", () => this.point(-1));
		this.canvas.addEventListener("click", (e) => {
			const i = this.nearest(e.offsetX, e.offsetY);
			if (i < 0) return;
			this.choose(i);
			if (this.hover) this.sound(i);
		});
		this.canvas.addEventListener("keydown", (e) => this.key(e));
	}

	private resize() {
		const scale = devicePixelRatio || 1;
		const w = Math.round(this.canvas.clientWidth * scale), h = Math.round(this.canvas.clientHeight * scale);
		if (w === this.canvas.width && h === this.canvas.height) return;
		this.canvas.width = w;
		this.canvas.height = h;
		this.paint(); // at once: a new size has emptied it
		this.list();
	}

	/** place returns where a point lies, in the canvas's pixels. The map keeps its
	 * shape: it is as large as fits. */
	private place(i: number): [number, number] {
		const { side, left, top } = this.square();
		return this.at.apply([left + this.points.x[i] * side, top + this.points.y[i] * side]);
	}

	private square() {
		const w = this.canvas.clientWidth, h = this.canvas.clientHeight, side = Math.max(10, Math.min(w, h) - 48);
		return { side, left: (w - side) / 2, top: (h - side) / 2 };
	}

	/** back returns the place on the map of a pixel. */
	private back(px: number, py: number): [number, number] {
		const { side, left, top } = this.square(), [x, y] = this.at.invert([px, py]);
		return [(x - left) / side, (y - top) / side];
	}

	private shownClass(i: number): boolean {
		return this.only === null || this.points.labels[i] === this.only;
	}

	private nearest(px: number, py: number): number {
		const [x, y] = this.back(px, py), r = reach / this.at.k / this.square().side;
		let best = -1, least = r * r;
		for (const i of this.tree.within(x, y, r)) {
			const d = (this.points.x[i] - x) ** 2 + (this.points.y[i] - y) ** 2;
			if (d <= least && this.shownClass(i)) { least = d; best = i; }
		}
		return best;
	}

	/** inView returns the points on the canvas, those in its middle first. */
	private inView(): number[] {
		const w = this.canvas.clientWidth, h = this.canvas.clientHeight;
		const [x0, y0] = this.back(0, 0), [x1, y1] = this.back(w, h);
		const [cx, cy] = [(x0 + x1) / 2, (y0 + y1) / 2];
		const far = (i: number) => (this.points.x[i] - cx) ** 2 + (this.points.y[i] - cy) ** 2;
		return this.tree.range(x0, y0, x1, y1).filter((i) => this.shownClass(i)).sort((a, b) => far(a) - far(b));
	}

	private draw() {
		if (this.frame) return;
		this.frame = requestAnimationFrame(() => {
			this.frame = 0;
			this.paint();
		});
	}

	private paint() {
		const g = this.canvas.getContext("2d")!, scale = devicePixelRatio || 1;
		const w = this.canvas.clientWidth, h = this.canvas.clientHeight;
		g.setTransform(scale, 0, 0, scale, 0, 0);
		g.clearRect(0, 0, w, h);
		const n = this.points.ids.length;
		const size = Math.min(7, Math.max(n > 5000 ? 1.5 : n > 500 ? 2.5 : 4, 2 + this.at.k / 3));
		// Of very many points, every so manyth while the map moves; all once it rests.
		const every = performance.now() - this.moved < 200 ? Math.ceil(n / whole) : 1;
		// Class by class: one colour and one shape at a time.
		for (let k = classes; k >= 0; k--) {
			const last = k === classes;
			g.fillStyle = last ? this.palette[5] : this.palette[k % 5];
			g.beginPath();
			for (let i = 0; i < n; i += every) {
				if (this.classOf[i] !== k || !this.shownClass(i)) continue;
				const [x, y] = this.place(i);
				if (x < -9 || y < -9 || x > w + 9 || y > h + 9) continue;
				mark(g, last ? 0 : Math.floor(k / 5), x, y, size);
			}
			g.fill();
		}
		const partner = this.chosen >= 0 ? this.points.partner?.[this.chosen] ?? -1 : -1;
		if (partner >= 0) {
			g.strokeStyle = this.palette[6];
			g.lineWidth = 2;
			g.setLineDash([6, 3]);
			g.beginPath();
			g.moveTo(...this.place(this.chosen));
			g.lineTo(...this.place(partner));
			g.stroke();
			g.setLineDash([]);
		}
		for (const [i, r] of [[this.under, size + 4], [partner, size + 4], [this.chosen, size + 6]]) {
			if (i < 0) continue;
			const [x, y] = this.place(i);
			for (const [style, width] of [[this.palette[7], 5], [this.palette[6], 2.5]] as [string, number][]) {
				g.strokeStyle = style;
				g.lineWidth = width;
				g.beginPath();
				g.arc(x, y, r, 0, 7);
				g.stroke();
			}
		}
	}

	private clip(i: number): Promise<Clip> {
		const id = this.points.ids[i];
		let c = this.clips.get(id);
		if (!c) {
			c = load<Clip>("/v1/clips/" + encodeURIComponent(id));
			c.catch(() => this.clips.delete(id));
			this.clips.set(id, c);
		}
		return c;
	}

	/** point shows what lies under the pointer, and lets it sound if asked to. */
	private point(i: number) {
		if (i === this.under) return;
		this.under = i;
		this.draw();
		clearTimeout(this.timer);
		this.tip.hidden = i < 0;
		this.canvas.style.cursor = i < 0 ? "grab" : "pointer";
		if (i < 0) return this.hush();
		const [x, y] = this.place(i);
		const w = this.canvas.clientWidth;
		this.tip.textContent = [this.points.labels[i], this.kind(i)].filter(Boolean).join(" · ") || this.points.ids[i];
		this.tip.style.transform = `translate(${Math.min(x + 14, w - 170)}px, ${y + 14}px)`;
		this.timer = window.setTimeout(async () => {
			if (this.hover) this.sound(i);
			try {
				const c = await this.clip(i);
				if (this.under === i) this.tip.textContent = [c.name, c.labels.join(", "), this.kind(i)].filter(Boolean).join(" · ");
			} catch { /* the label stays */ }
		}, dwell);
	}

	private kind(i: number): string {
		return this.points.of ? { audio: "its sound", video: "its picture", both: "" }[this.points.of[i]] ?? "" : "";
	}

	private setHover(on: boolean) {
		this.hover = on;
		const b = $<HTMLButtonElement>("[data-do=hover]", this)!;
		b.setAttribute("aria-pressed", String(on));
		b.textContent = "Sound on hover: " + (on ? "on" : "off");
		if (!on) this.hush();
		say(b.textContent);
	}

	/** sound plays the clip of a point. Browsers may refuse before a press. */
	private async sound(i: number) {
		this.audio.src = `/v1/clips/${encodeURIComponent(this.points.ids[i])}/audio.m4a`;
		this.audio.volume = 0;
		try {
			await this.audio.play();
		} catch { return; }
		const begun = performance.now();
		const rise = () => {
			this.audio.volume = Math.min(1, (performance.now() - begun) / 30);
			if (this.audio.volume < 1 && !this.audio.paused) requestAnimationFrame(rise);
		};
		rise();
	}

	private hush() { this.audio.pause(); }

	private choose(i: number) {
		this.chosen = i;
		this.draw();
		this.panel(i);
	}

	private async panel(i: number) {
		const slot = $("[data-slot=panel]", this)!;
		let c: Clip;
		try {
			c = await this.clip(i);
		} catch (p) {
			render(html`${note(p as Problem)}`, slot);
			return;
		}
		if (this.chosen !== i) return;
		$("p.muted:only-child", slot)?.remove();
		const base = "/v1/clips/" + encodeURIComponent(c.id);
		const show = (near: Hit[] | null) => render(html`
			<div class="screen">${c.has_video
				? html`<video controls playsinline preload="none" width="320" height="180" src="${base}/preview.mp4" poster="${base}/thumb.jpg" aria-label=${c.name}></video>`
				: html`<audio controls preload="none" src="${base}/audio.m4a" aria-label=${c.name}></audio>`}</div>
			${c.has_audio ? html`<div class="mel"><img src="${base}/mel.png" alt="Log-mel of ${c.name}" width="320" height="96"></div>` : nothing}
			<p><a href="/clips/${encodeURIComponent(c.id)}"><b>${c.name}</b></a> <span class="muted">${[c.labels.join(", "), this.kind(i)].filter(Boolean).join(" · ")}</span></p>
			${near?.length ? html`<h3>True neighbours</h3><ol class="list">${near.map((h) => html`
				<li><a href="/clips/${encodeURIComponent(h.clip.id)}"><span>${h.clip.name}</span><span class="num">${h.score.toFixed(2)}</span></a></li>`)}</ol>
				<p class="small muted">Nearest in the model’s own space, which the map can only hint at.</p>` : nothing}`, slot);
		show(null);
		say("Chosen: " + c.name);
		const space = this.dataset.space === "both" && this.points.of ? this.points.of[i] : this.dataset.space;
		try {
			const near = await load<{ items: Hit[] }>(`${base}/neighbours?by=${space}&limit=6`);
			if (this.chosen === i) show(near.items);
		} catch { /* the clip is shown all the same */ }
	}

	private legend() {
		const slot = $("[data-slot=legend]", this)!;
		const rest = this.points.labels.some((l) => l && !this.names.includes(l));
		const show = () => render(html`${this.names.map((l, k) => html`<li><button type="button" aria-pressed=${this.only === l ? "true" : "false"}
			@click=${() => { this.only = this.only === l ? null : l; show(); this.draw(); this.list(); }}><svg class="c${k % 5 + 1}" width="12" height="12" viewBox="-6 -6 12 12" aria-hidden="true">${shapeOf(Math.floor(k / 5))}</svg>${l}</button></li>`)}
			${rest ? html`<li class="muted">grey: other labels</li>` : nothing}`, slot);
		show();
	}

	private listLater() {
		clearTimeout(this.later);
		this.later = window.setTimeout(() => this.list(), 200);
	}
	private later = 0;

	private list() {
		const all = this.inView(), slot = $("[data-slot=list]", this)!;
		const seen = new Set<string>();
		const each = all.filter((i) => !seen.has(this.points.ids[i]) && seen.add(this.points.ids[i]));
		const some = each.slice(0, listed);
		render(html`<p class="small muted">${each.length} clips${each.length > some.length ? html`, the ${some.length} nearest to the middle` : nothing}</p>
			<ul class="list" tabindex="0" aria-label="Clips in view">${some.map((i) => html`<li><button type="button" @click=${() => this.choose(i)}>
			<span>${this.points.labels[i] || "no label"}</span><span class="muted">${short(this.points.ids[i])}</span></button></li>`)}</ul>`, slot);
	}

	private scale(by: number) { select(this.canvas).call(this.behaviour.scaleBy, by); }
	private reset() { select(this.canvas).call(this.behaviour.transform, zoomIdentity); }
	private pan(x: number, y: number) { select(this.canvas).call(this.behaviour.translateBy, x / this.at.k, y / this.at.k); }

	private centre(i: number, k: number) {
		const { side, left, top } = this.square();
		const x = left + this.points.x[i] * side, y = top + this.points.y[i] * side;
		const t = zoomIdentity.translate(this.canvas.clientWidth / 2, this.canvas.clientHeight / 2).scale(k).translate(-x, -y);
		select(this.canvas).call(this.behaviour.transform, t);
	}

	private key(e: KeyboardEvent) {
		if (e.ctrlKey || e.metaKey || e.altKey) return;
		const step = 60;
		switch (e.key) {
		case "ArrowLeft": this.pan(step, 0); break;
		case "ArrowRight": this.pan(-step, 0); break;
		case "ArrowUp": this.pan(0, step); break;
		case "ArrowDown": this.pan(0, -step); break;
		case "+": case "=": this.scale(1.6); break;
		case "-": this.scale(1 / 1.6); break;
		case "0": this.reset(); break;
		case "n": case "p": {
			// In the order of the list, so that every point in view comes once.
			const all = this.inView();
			if (!all.length) break;
			const here = all.indexOf(this.under >= 0 ? this.under : this.chosen);
			const next = all[(here + (e.key === "n" ? 1 : -1) + all.length) % all.length];
			this.point(next);
			this.clip(next).then((c) => say(`${c.name}, ${c.labels.join(", ")} ${this.kind(next)}`), () => {});
			break;
		}
		case "Enter": if (this.under >= 0) this.choose(this.under); break;
		case "h": this.setHover(!this.hover); break;
		case "Escape": this.point(-1); this.hush(); break;
		default: return;
		}
		e.preventDefault();
		e.stopPropagation();
	}
}

/** mark adds a point's shape to the path: a disc, a square, a triangle. */
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

function shapeOf(shape: number) {
	const d = ["M5 0A5 5 0 1 1-5 0A5 5 0 1 1 5 0", "M-4.5-4.5H4.5V4.5H-4.5Z", "M0-5.5L5 4H-5Z"][shape] ?? "";
	const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
	path.setAttribute("d", d);
	path.setAttribute("fill", "currentColor");
	return path;
}

function short(id: string): string { return id.length > 14 ? id.slice(0, 13) + "…" : id; }

customElements.define("av-map", ClipMap);
