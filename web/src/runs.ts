// The pages of runs: curves of one run, live while it trains, and of several beside
// each other.
import { $, $$, load, note, say, type Problem } from "./dom";
import "./samples";
import { Chart, digits, type Curve, type Spec, type View } from "./charts";

interface Series { mean: number[]; min?: number[]; max?: number[] }
interface Curves { run: string; step: number[]; seconds: number[]; samples: number[]; bucket: number; series: Record<string, Series> }
type Step = Record<string, number>;

/** Part is a curve of a chart: a metric, or a metric times a weight. */
interface Part { name: string; key: string; weight?: number }

interface Picture extends Spec { parts: Part[] }

const single = (lambda: number): Picture[] => [
	{ id: "loss", title: "Loss", log: true, read: "All three should fall; invariance at 0 from the start would be a collapse.", parts: [
		{ name: "total", key: "total" }, { name: "(1−λ) invariance", key: "invariance", weight: 1 - lambda }, { name: "λ SIGReg", key: "sigreg", weight: lambda }] },
	{ id: "parts", title: "Unweighted parts", log: true, read: "SIGReg falls sharply, then slowly towards its floor.", floor: { y: 1.0594, name: "SIGReg of a true normal, 1.06" }, parts: [
		{ name: "invariance", key: "invariance" }, { name: "SIGReg", key: "sigreg" }] },
	...common];

const common: Picture[] = [
	{ id: "std", title: "Deviation of the embeddings", log: false, floor: { y: 1, name: "target 1" }, read: "It should rise to about 1 and stay; towards 0 all clips look alike to the encoder.", parts: [{ name: "std", key: "std" }] },
	{ id: "grad_norm", title: "Gradient norm", log: true, read: "Spikes above the clip bound are cut; a rising floor hints at too high a learning rate.", parts: [{ name: "gradient norm", key: "grad_norm" }] },
	{ id: "lr", title: "Learning rate", log: false, read: "Warm-up, then a cosine to its end.", parts: [{ name: "learning rate", key: "lr" }] },
	{ id: "clips_per_s", title: "Speed", unit: "clips/s", log: false, read: "Dips mean that something else used the machine.", parts: [{ name: "clips/s", key: "clips_per_s" }] },
	{ id: "gflops", title: "Work", unit: "GFLOP/s", log: false, read: "What the encoder's blocks and patches took, over the time of a step.", parts: [{ name: "GFLOP/s", key: "gflops" }] },
	{ id: "wait_share", title: "Waiting for data", unit: "share of a step", log: false, read: "Above a tenth, reading clips holds the training up.", parts: [{ name: "share", key: "wait_share" }] },
];

const several: Picture[] = [
	{ id: "total", title: "Loss", log: true, read: "Runs with different λ weigh their parts differently: compare the parts.", parts: [{ name: "loss", key: "total" }] },
	{ id: "invariance", title: "Invariance", log: true, read: "How far views are from their center; small and falling.", parts: [{ name: "invariance", key: "invariance" }] },
	{ id: "sigreg", title: "SIGReg", log: true, floor: { y: 1.0594, name: "a true normal, 1.06" }, read: "How far the embeddings are from a normal distribution.", parts: [{ name: "SIGReg", key: "sigreg" }] },
	...common];

const keep = 2000; // points of a run before its curves are asked for again

class RunCurves extends HTMLElement {
	private runs: string[] = [];
	private data = new Map<string, Curves>();
	private charts: Chart[] = [];
	private pictures: Picture[] = [];
	private view: View & { x: "step" | "seconds" | "samples"; clip: boolean } = { log: true, smooth: 0, xName: "step", x: "step", clip: false };
	private source: EventSource | null = null;
	private paused = false;
	private timer = 0;
	private last = performance.now();
	private batch = 0;

	connectedCallback() {
		this.runs = (this.dataset.runs ?? "").split(" ").filter(Boolean);
		this.batch = Number(this.dataset.batch) || 0;
		this.pictures = this.runs.length > 1 ? several : single(Number(this.dataset.lambda) || 0);
		this.begin();
	}

	private async begin() {
		const slot = $("[data-slot=charts]", this)!;
		try {
			await this.fetchAll();
		} catch (p) {
			slot.replaceChildren(note(p as Problem));
			return;
		}
		this.charts = this.pictures.map((p) => new Chart(p));
		slot.replaceChildren(...this.charts.map((c) => c.element));
		this.controls();
		this.draw();
		if (this.dataset.live === undefined) return;
		this.listen();
		document.addEventListener("visibilitychange", () => this.awake());
		addEventListener("pagehide", () => this.source?.close());
		setInterval(() => this.stale(), 5000);
	}

	private async fetchAll() {
		const all = await Promise.all(this.runs.map((r) => load<Curves>(`/v1/runs/${encodeURIComponent(r)}/metrics`)));
		all.forEach((c, i) => this.data.set(this.runs[i], c));
	}

	private controls() {
		const bar = $(".toolbar", this)!;
		bar.hidden = false;
		bar.addEventListener("input", () => {
			this.view.log = $<HTMLInputElement>("[data-do=log]", bar)!.checked;
			this.view.smooth = Number($<HTMLInputElement>("[data-do=smooth]", bar)!.value) / 100;
			$("output", bar)!.textContent = this.view.smooth.toFixed(2);
			this.view.x = $<HTMLSelectElement>("[data-do=x]", bar)!.value as "step";
			this.view.xName = { step: "step", seconds: "seconds", samples: "clips" }[this.view.x];
			this.view.clip = $<HTMLInputElement>("[data-do=clip]", bar)?.checked ?? false;
			this.draw();
		});
		$("[data-do=pause]", bar)?.addEventListener("click", (e) => {
			this.paused = !this.paused;
			const b = e.currentTarget as HTMLElement;
			b.textContent = this.paused ? "Go on" : "Pause";
			b.setAttribute("aria-pressed", String(this.paused));
			this.awake();
		});
	}

	private curve(run: string, part: Part, name: string, colour: number, end: number): Curve {
		const c = this.data.get(run)!, s = c.series[part.key], w = part.weight ?? 1;
		const x = c[this.view.x];
		let n = x.length;
		while (n > 0 && x[n - 1] > end) n--;
		const times = (v: number[]) => v.slice(0, n).map((y) => w * y);
		return { name, colour, x: x.slice(0, n), y: times(s.mean), lo: times(s.min ?? s.mean), hi: times(s.max ?? s.mean) };
	}

	private draw() {
		// Clipped, runs are compared over what all of them have.
		const ends = this.runs.map((r) => this.data.get(r)![this.view.x].at(-1) ?? 0);
		const end = this.view.clip ? Math.min(...ends) : Infinity;
		this.pictures.forEach((p, i) => {
			const curves = this.runs.length > 1
				? this.runs.map((r, k) => this.curve(r, p.parts[0], r, k, end))
				: p.parts.map((part, k) => this.curve(this.runs[0], part, part.name, k, end));
			this.charts[i].set(curves, this.view);
		});
	}

	private drawSoon() {
		if (!this.timer) this.timer = window.setTimeout(() => { this.timer = 0; this.draw(); }, 250);
	}

	/** listen follows a run by its events. Several runs are asked for again now and
	 * then: a tab has one stream. */
	private listen() {
		if (this.runs.length > 1) {
			setInterval(async () => {
				if (this.paused || document.hidden) return;
				try {
					await this.fetchAll();
					this.draw();
				} catch { /* the banner says so */ }
			}, 10000);
			return;
		}
		const run = this.runs[0], c = this.data.get(run)!;
		this.source?.close();
		this.source = new EventSource(`/v1/runs/${encodeURIComponent(run)}/events?after=${c.step.at(-1) ?? 0}`);
		this.source.addEventListener("step", (e) => this.step(JSON.parse((e as MessageEvent).data)));
		this.source.addEventListener("state", (e) => this.state(JSON.parse((e as MessageEvent).data)));
		for (const name of ["rewind", "gap"]) this.source.addEventListener(name, () => this.again());
	}

	private async again() {
		try {
			await this.fetchAll();
			this.draw();
		} catch { /* the banner says so */ }
	}

	private awake() {
		if (document.hidden || this.paused) {
			this.source?.close();
			this.source = null;
			this.text("live", this.paused ? "paused" : "");
			return;
		}
		if (this.source || this.runs.length > 1) return;
		this.again().then(() => this.listen());
	}

	private step(m: Step) {
		const c = this.data.get(this.runs[0])!;
		this.last = performance.now();
		if (m.step <= (c.step.at(-1) ?? 0)) return;
		c.seconds.push((c.seconds.at(-1) ?? 0) + m.seconds);
		c.step.push(m.step);
		c.samples.push(m.step * this.batch);
		for (const [key, s] of Object.entries(c.series)) {
			s.mean.push(m[key]);
			s.min?.push(m[key]);
			s.max?.push(m[key]);
		}
		this.text("step", String(m.step));
		this.text("loss", digits(m.total));
		this.text("std", digits(m.std));
		this.text("speed", m.clips_per_s.toFixed(1));
		this.text("live", "live");
		if (c.step.length > keep) this.again();
		else this.drawSoon();
	}

	private state(s: { state: string; step: number }) {
		const old = $("[data-slot=state]", this.closest("main")!);
		if (old && old.textContent !== s.state) {
			old.textContent = s.state;
			say("The run is " + s.state);
		}
	}

	private stale() {
		if (this.runs.length > 1 || this.paused || document.hidden || this.dataset.live === undefined) return;
		const quiet = (performance.now() - this.last) / 1000;
		if (quiet > 30) this.text("live", `no step for ${Math.round(quiet)} s`);
	}

	private text(slot: string, text: string) {
		const e = $(`[data-slot=${slot}]`, this.closest("main")!);
		if (!e) return;
		if (e.textContent !== text) e.textContent = text;
		e.hidden = !text;
	}
}

/** The table of runs: at most six can be ticked. */
function ticks() {
	const most = 6;
	const form = $("#runs-form");
	if (!form) return;
	const boxes = () => $$<HTMLInputElement>("input[name=run]", form);
	const button = $<HTMLButtonElement>("[data-do=compare]", form)!;
	const show = () => {
		const on = boxes().filter((b) => b.checked);
		button.disabled = on.length < 2;
		button.textContent = on.length ? `Compare ${on.length}` : "Compare";
		for (const b of boxes()) b.disabled = !b.checked && on.length >= most;
	};
	form.addEventListener("change", (e) => {
		show();
		if (boxes().filter((b) => b.checked).length === most) say("Six runs are ticked, no more can be");
		void e;
	});
	form.addEventListener("refreshed", show);
	addEventListener("keydown", (e) => {
		if (e.key !== "c" || e.ctrlKey || e.metaKey || e.altKey) return;
		const row = (document.activeElement as HTMLElement | null)?.closest("tr");
		const box = row && $<HTMLInputElement>("input[name=run]", row);
		if (box && !box.disabled) box.click();
	});
	show();
}

customElements.define("av-curves", RunCurves);
ticks();
