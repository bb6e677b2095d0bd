// The map: every clip a point, near ones alike, with a list of what is in view as an
// equal way in. Points lie on a canvas of their own, below the one that takes the pointer.
import { select } from "d3-selection";
import { zoom, zoomIdentity, type ZoomTransform } from "d3-zoom";
import KDBush from "kdbush";
import { html, nothing, render } from "lit";
import { $, load, note, onTheme, say, type Problem } from "./dom";
import { Hover } from "./hover";
import { Layers, many } from "./layers";
import { classes, radius, shapeOf, type View } from "./painter";
import { panel, type Clip, type Hit } from "./panel";
import { readMap, type Points } from "./points";

const reach = 14; // pixels from a point that still mean it
const dwell = 120; // milliseconds before a point sounds
const listed = 60; // points in the list
const rest = 200; // milliseconds after which a map that moved stands still
const ahead = 8; // sounds of near points that are fetched ahead

class ClipMap extends HTMLElement {
	private points!: Points;
	private tree!: KDBush;
	private canvas!: HTMLCanvasElement;
	private layers!: Layers;
	private tip!: HTMLElement;
	private at: ZoomTransform = zoomIdentity;
	private behaviour = zoom<HTMLCanvasElement, unknown>();
	private chosen = -1;
	private under = -1;
	private only = -1; // the class that is shown alone
	private names: string[] = [];
	private classOf!: Uint8Array;
	private hover = false;
	private frame = 0;
	private stale = false; // the points are to be drawn again
	private moved = -1000;
	private still = 0;
	private timer = 0;
	private hearing = new Hover();
	private clipOf!: Uint32Array; // a point's clip, by number
	private seen: Uint32Array | null = null; // what inView returned, while it holds
	private clips = new Map<string, Promise<Clip>>();

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
		const number = new Map<string, number>();
		this.clipOf = Uint32Array.from(this.points.ids, (id) => number.get(id) ?? (number.set(id, number.size), number.size - 1));
		const all = this.points.all > n ? `${n} of ${this.points.all} clips, a fixed sample` : `${n} points, all shown`;
		caption.textContent = `${all} · ${this.points.method} · near points are alike; distances between groups mean nothing`;
		this.build(slot);
		this.legend();
		onTheme(() => { this.layers.colours(); this.redraw(); });
		this.layers.colours();
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
	}

	/** classify gives the most frequent labels a mark each. */
	private classify() {
		const count = new Map<string, number>();
		for (const l of this.points.labels) if (l) count.set(l, (count.get(l) ?? 0) + 1);
		this.names = [...count].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, classes).map(([l]) => l);
		const at = new Map(this.names.map((l, i) => [l, i]));
		this.classOf = Uint8Array.from(this.points.labels, (l) => at.get(l) ?? classes);
	}

	private build(slot: HTMLElement) {
		this.layers = new Layers(this, this.points, this.classOf, () => this.redraw());
		this.canvas = this.layers.top;
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
		slot.replaceChildren(...this.layers.all, this.tip, buttons);
		this.behaviour.scaleExtent([0.8, 200]).on("zoom", (e) => {
			this.at = e.transform;
			this.moved = performance.now();
			this.seen = null;
			this.redraw();
			clearTimeout(this.still);
			this.still = window.setTimeout(() => {
				if (this.points.ids.length > many) this.redraw(); // all of them
				this.list();
			}, rest + 50);
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
		if (!this.layers.fit()) return;
		this.seen = null;
		this.stale = true;
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
		return this.only < 0 || this.classOf[i] === this.only;
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

	/** near returns the ids of the clips that lie nearest to a point, without its own. */
	private near(i: number, most: number): string[] {
		const { x, y, ids } = this.points, far = (j: number) => (x[j] - x[i]) ** 2 + (y[j] - y[i]) ** 2;
		let found: number[] = [];
		for (let r = Math.sqrt(most / ids.length); r < 2 && found.length <= 4 * most; r *= 2) {
			found = this.tree.within(x[i], y[i], r).filter((j) => this.shownClass(j) && this.sounds(j));
		}
		const order = found.sort((a, b) => far(a) - far(b)).map((j) => ids[j]);
		return [...new Set(order)].filter((id) => id !== ids[i]).slice(0, most);
	}

	/** sounds says whether a point's clip has sound, as far as the map tells. */
	private sounds(i: number): boolean {
		return this.points.of?.[i] !== "video" || (this.points.partner?.[i] ?? -1) >= 0;
	}

	/** inView returns the points on the canvas, those in its middle first. */
	private inView(): Uint32Array {
		if (this.seen) return this.seen;
		const w = this.canvas.clientWidth, h = this.canvas.clientHeight;
		const [x0, y0] = this.back(0, 0), [x1, y1] = this.back(w, h);
		const [cx, cy] = [(x0 + x1) / 2, (y0 + y1) / 2], { x, y } = this.points;
		// A number holds how far a point is, and in its low bits which one: numbers sort
		// far faster than what a function compares.
		const bits = 2 ** 22, most = (x1 - x0) ** 2 + (y1 - y0) ** 2;
		const keys = Float64Array.from(this.tree.range(x0, y0, x1, y1).filter((i) => this.shownClass(i)),
			(i) => Math.floor(((x[i] - cx) ** 2 + (y[i] - cy) ** 2) / most * 2 ** 30) * bits + i).sort();
		return this.seen = Uint32Array.from(keys, (k) => k % bits);
	}

	/** redraw draws everything in the next frame; draw only what marks points. */
	private redraw() {
		this.stale = true;
		this.draw();
	}

	private draw() {
		if (this.frame) return;
		this.frame = requestAnimationFrame(() => {
			this.frame = 0;
			this.paint();
		});
	}

	private view(): View {
		const { side, left, top } = this.square(), { k, x, y } = this.at;
		return {
			width: this.canvas.clientWidth, height: this.canvas.clientHeight, scale: devicePixelRatio || 1,
			left: x + k * left, top: y + k * top, side: k * side, size: radius(this.points.ids.length, k),
			only: this.only, moving: performance.now() - this.moved < rest,
		};
	}

	private paint() {
		const marks = { chosen: this.chosen, under: this.under, partner: this.points.partner?.[this.chosen] ?? -1 };
		this.layers.paint(this.view(), this.stale, marks);
		this.stale = false;
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

	/** sound lets a point be heard. */
	private async sound(i: number) {
		if (!this.sounds(i)) return;
		if (this.dataset.space !== "video") return this.hearing.play(this.points.ids[i], () => this.near(i, ahead));
		// Of a map of pictures only the clip tells whether there is sound.
		const c = await this.clip(i).catch(() => null);
		if (c?.has_audio && (this.under === i || this.chosen === i)) this.hearing.play(c.id, () => []);
	}

	private hush() { this.hearing.stop(); }

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
		const show = (near: Hit[] | null) => panel(slot, c, this.kind(i), near);
		show(null);
		say("Chosen: " + c.name);
		const space = this.dataset.space === "both" && this.points.of ? this.points.of[i] : this.dataset.space;
		try {
			const near = await load<{ items: Hit[] }>(`/v1/clips/${encodeURIComponent(c.id)}/neighbours?by=${space}&limit=6`);
			if (this.chosen === i) show(near.items);
		} catch { /* the clip is shown all the same */ }
	}

	private legend() {
		const slot = $("[data-slot=legend]", this)!;
		const rest = this.points.labels.some((l) => l && !this.names.includes(l));
		const show = () => render(html`${this.names.map((l, k) => html`<li><button type="button" aria-pressed=${this.only === k ? "true" : "false"}
			@click=${() => { this.only = this.only === k ? -1 : k; this.seen = null; show(); this.redraw(); this.list(); }}><svg class="c${k % 5 + 1}" width="12" height="12" viewBox="-6 -6 12 12" aria-hidden="true">${shapeOf(Math.floor(k / 5))}</svg>${l}</button></li>`)}
			${rest ? html`<li class="muted">grey: other labels</li>` : nothing}`, slot);
		show();
	}

	private list() {
		const slot = $("[data-slot=list]", this)!, once = new Uint8Array(this.points.ids.length);
		const some: number[] = [];
		let clips = 0;
		for (const i of this.inView()) {
			if (once[this.clipOf[i]]) continue;
			once[this.clipOf[i]] = 1;
			if (clips++ < listed) some.push(i);
		}
		render(html`<p class="small muted">${clips} clips${clips > some.length ? html`, the ${some.length} nearest to the middle` : nothing}</p>
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

function short(id: string): string { return id.length > 14 ? id.slice(0, 13) + "…" : id; }

customElements.define("av-map", ClipMap);
