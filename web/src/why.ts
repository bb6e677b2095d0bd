// The overlay of the page Why: where the last layer looks, in step with playback.
import { $, note, onTheme, say, type Problem, problemOf } from "./dom";
import type { Player } from "./player";

interface Crop { x: number; y: number; width: number; height: number }
interface VideoMap { steps: number; rows: number; columns: number; crop: Crop; weights: number[] }
interface AudioMap { bands: number; steps: number; weights: number[] }
interface Explanation {
	start_seconds: number;
	window_seconds: number;
	audio_to_video?: VideoMap;
	video_to_audio?: AudioMap;
}

const floor = 0.25; // light that the least attended place keeps, at full strength

/** half returns which cells hold the strongest half of the weight. */
export function half(weights: ArrayLike<number>): Uint8Array {
	const order = Array.from(weights, (_, i) => i).sort((a, b) => weights[b] - weights[a]);
	let all = 0;
	for (let i = 0; i < weights.length; i++) all += weights[i];
	const mark = new Uint8Array(weights.length);
	let sum = 0;
	for (const i of order) {
		if (sum >= all / 2) break;
		mark[i] = 1;
		sum += weights[i];
	}
	return mark;
}

/** outline draws the border of the marked cells of a grid over a rectangle. */
function outline(g: CanvasRenderingContext2D, mark: Uint8Array, columns: number, rows: number, x: number, y: number, w: number, h: number) {
	const on = (r: number, c: number) => r >= 0 && c >= 0 && r < rows && c < columns && mark[r * columns + c] === 1;
	g.beginPath();
	for (let r = 0; r <= rows; r++) {
		for (let c = 0; c <= columns; c++) {
			const px = x + c / columns * w, py = y + r / rows * h;
			if (c < columns && on(r, c) !== on(r - 1, c)) { g.moveTo(px, py); g.lineTo(px + w / columns, py); }
			if (r < rows && on(r, c) !== on(r, c - 1)) { g.moveTo(px, py); g.lineTo(px, py + h / rows); }
		}
	}
	g.strokeStyle = "#000";
	g.lineWidth = 4;
	g.stroke();
	g.strokeStyle = "#fff";
	g.lineWidth = 2;
	g.stroke();
}

/** shade returns a grid of blackness: 0 where the weight is the largest. */
function shade(weights: ArrayLike<number>, columns: number, rows: number, top: number, strength: number): HTMLCanvasElement {
	const c = document.createElement("canvas");
	c.width = columns;
	c.height = rows;
	const g = c.getContext("2d")!, image = g.createImageData(columns, rows);
	for (let i = 0; i < weights.length; i++) {
		const light = Math.min(1, weights[i] / top);
		image.data[4 * i + 3] = 255 * strength * (1 - floor) * (1 - light);
	}
	g.putImageData(image, 0, 0);
	return c;
}

class Why extends HTMLElement {
	private strength = 0.75;
	private e: Explanation | null = null;
	private top = 1; // the largest weight over the even one, of both maps
	private sound: Player | null = null;
	private picture: Player | null = null;
	private film: HTMLCanvasElement | null = null;
	private mel: HTMLCanvasElement | null = null;
	private drawn = -1;

	connectedCallback() {
		this.sound = $<Player>("[data-part=sound] av-player", this);
		this.picture = $<Player>("[data-part=picture] av-player", this);
		this.begin();
	}

	private async begin() {
		const state = $("[data-slot=state]", this)!;
		state.textContent = "Looking…";
		state.setAttribute("role", "status");
		try {
			this.e = await this.ask();
		} catch (p) {
			state.replaceWith(note(p as Problem));
			return;
		}
		state.remove();
		this.scale();
		const bar = $(".toolbar", this)!;
		bar.hidden = false;
		const strength = $<HTMLInputElement>("[data-do=strength]", this)!;
		const set = (v: number) => {
			this.strength = Math.min(1, Math.max(0, v));
			strength.value = String(Math.round(this.strength * 100));
			$("output", bar)!.textContent = strength.value + " %";
			this.drawn = -1;
			this.draw();
		};
		strength.addEventListener("input", () => set(Number(strength.value) / 100));
		$("[data-do=play]", this)!.addEventListener("click", () => this.play());
		$("[data-do=back]", this)!.addEventListener("click", () => this.step(-1));
		$("[data-do=on]", this)!.addEventListener("click", () => this.step(1));
		addEventListener("keydown", (e) => {
			if (e.key !== "[" && e.key !== "]" || e.ctrlKey || e.metaKey || e.altKey) return;
			set(this.strength + (e.key === "]" ? 0.1 : -0.1));
			say(`Overlay ${Math.round(this.strength * 100)} percent`);
		});
		this.film = this.over($(".screen", this.picture!));
		this.mel = this.over($(".mel", this.sound!));
		const redraw = () => { this.drawn = -1; this.draw(); };
		new ResizeObserver(redraw).observe(this);
		this.picture?.addEventListener("clock", () => this.draw());
		this.picture?.media?.addEventListener("loadeddata", redraw);
		for (const p of [this.sound, this.picture]) {
			p?.addEventListener("clock", (e) => this.bound(p, (e as CustomEvent).detail));
			p?.media?.addEventListener("play", () => this.label());
			p?.media?.addEventListener("pause", () => this.label());
		}
		onTheme(redraw);
		// A film that has not begun shows its poster, which is another frame.
		if (this.picture?.media) this.picture.seek(this.e.start_seconds);
		set(this.strength);
		say("The overlay is there. " + (this.textOf() ?? ""));
	}

	private async ask(): Promise<Explanation> {
		const ref = (name: string) => {
			const [kind, id] = [this.dataset[name]!.slice(0, 1), this.dataset[name]!.slice(2)];
			return { kind: kind === "q" ? "query" : "clip", id };
		};
		const sound = ref("sound"), picture = ref("picture");
		const body: Record<string, unknown> = { start: Number(this.dataset.start) || 0 };
		body["audio_" + sound.kind] = sound.id;
		body["video_" + picture.kind] = picture.id;
		let answer: Response;
		try {
			answer = await fetch("/v1/explain", { method: "POST", headers: { "Content-Type": "application/json", Accept: "application/json" }, body: JSON.stringify(body) });
		} catch {
			throw { title: "The server does not answer", hint: "Is avjepa serve still running?" } as Problem;
		}
		if (!answer.ok) throw problemOf(await answer.text(), answer.status);
		return answer.json();
	}

	/** scale finds the brightness that both sides share: weights over what each place
	 * would have if all were equal. */
	private scale() {
		const v = this.e!.audio_to_video, a = this.e!.video_to_audio;
		const most = (w: number[] | undefined) => w ? Math.max(...w) * w.length : 0;
		this.top = Math.max(most(v?.weights), most(a?.weights), 1e-9);
		$("[data-slot=scale]", this)!.textContent = `full brightness: ${this.top.toFixed(1)} × an even spread, on both sides`;
	}

	private textOf(): string | null {
		const v = this.e?.audio_to_video;
		if (!v) return null;
		let best = 0;
		v.weights.forEach((w, i) => { if (w > v.weights[best]) best = i; });
		const cell = best % (v.rows * v.columns), r = Math.floor(cell / v.columns), c = cell % v.columns;
		const name = (i: number, n: number, words: string[]) => words[Math.min(2, Math.floor(i / n * 3))];
		return `The sound attends most to the ${name(r, v.rows, ["top", "middle", "bottom"])} ${name(c, v.columns, ["left", "centre", "right"])} of the frame.`;
	}

	private over(box: HTMLElement | null): HTMLCanvasElement | null {
		if (!box) return null;
		const c = document.createElement("canvas");
		c.setAttribute("aria-hidden", "true");
		box.append(c);
		return c;
	}

	/** bound keeps playing within the window that the maps cover. */
	private bound(p: Player, t: number) {
		const end = Math.min(p.seconds, this.e!.start_seconds + this.e!.window_seconds);
		if (p.playing && t >= end) p.media!.pause();
	}

	private label() {
		const on = this.sound?.playing || this.picture?.playing;
		$("[data-do=play]", this)!.textContent = on ? "Pause" : "Play";
	}

	private play() {
		const all = [this.sound, this.picture].filter((p): p is Player => !!p?.media);
		if (all.some((p) => p.playing)) {
			for (const p of all) p.media!.pause();
			return;
		}
		this.setAttribute("data-together", "");
		const from = this.e!.start_seconds;
		for (const p of all) {
			if (p.time < from || p.time >= from + this.e!.window_seconds - 0.05) p.seek(from);
			// The sound comes from the clip that is heard; the other shows its frames.
			p.media!.muted = p === this.picture && p !== this.sound;
			p.play();
		}
	}

	private step(n: number) {
		this.sound?.media?.pause();
		this.picture?.step(n);
		if (this.sound !== this.picture && this.picture) this.sound?.seek(this.picture.time);
	}

	private draw() {
		if (!this.e) return;
		this.drawMel();
		const v = this.e.audio_to_video;
		if (!v || !this.film || !this.picture) return;
		const t = this.picture.time - this.e.start_seconds;
		const step = Math.min(v.steps - 1, Math.max(0, Math.floor(t / this.e.window_seconds * v.steps)));
		if (step === this.drawn) return;
		this.drawn = step;
		const n = v.rows * v.columns, weights = v.weights.slice(step * n, (step + 1) * n);
		const box = $<HTMLElement>("video, .still", this.picture)!, screen = $(".screen", this.picture)!;
		const g = fit(this.film, screen);
		const { x, y, w, h } = shown(box);
		const cx = x + v.crop.x * w, cy = y + v.crop.y * h, cw = v.crop.width * w, ch = v.crop.height * h;
		// Outside the crop the model sees nothing.
		g.fillStyle = `rgba(0,0,0,${this.strength * (1 - floor)})`;
		g.beginPath();
		g.rect(x, y, w, h);
		g.rect(cx, cy, cw, ch);
		g.fill("evenodd");
		g.imageSmoothingEnabled = false;
		g.drawImage(shade(weights, v.columns, v.rows, this.top / v.weights.length, this.strength), cx, cy, cw, ch);
		if (this.strength > 0) outline(g, half(weights), v.columns, v.rows, cx, cy, cw, ch);
	}

	private drawMel() {
		const a = this.e!.video_to_audio, box = $(".mel", this.sound!);
		if (!a || !this.mel || !box || !this.sound) return;
		const g = fit(this.mel, box), w = box.clientWidth, h = box.clientHeight;
		const x = this.e!.start_seconds / this.sound.seconds * w;
		const mw = this.e!.window_seconds / this.sound.seconds * w;
		g.fillStyle = `rgba(0,0,0,${this.strength * (1 - floor)})`;
		g.fillRect(0, 0, x, h);
		g.fillRect(x + mw, 0, w - x - mw, h);
		// The lowest band is the bottom row of the picture.
		const up: number[] = [];
		for (let b = a.bands - 1; b >= 0; b--) up.push(...a.weights.slice(b * a.steps, (b + 1) * a.steps));
		g.imageSmoothingEnabled = false;
		g.drawImage(shade(up, a.steps, a.bands, this.top / a.weights.length, this.strength), x, 0, mw, h);
		if (this.strength > 0) outline(g, half(up), a.steps, a.bands, x, 0, mw, h);
	}
}

/** fit lays a canvas over a box, in the screen's pixels, and clears it. */
function fit(c: HTMLCanvasElement, box: HTMLElement): CanvasRenderingContext2D {
	const w = box.clientWidth, h = box.clientHeight, scale = devicePixelRatio || 1;
	c.width = Math.max(1, w * scale);
	c.height = Math.max(1, h * scale);
	Object.assign(c.style, { left: "0", top: "0", width: w + "px", height: h + "px" });
	const g = c.getContext("2d")!;
	g.setTransform(scale, 0, 0, scale, 0, 0);
	return g;
}

/** shown returns where the picture lies within a film's box, which may have bars. */
function shown(box: HTMLElement): { x: number; y: number; w: number; h: number } {
	const v = box as HTMLVideoElement, i = box as HTMLImageElement;
	const ratio = (v.videoWidth || i.naturalWidth || Number(box.getAttribute("width"))) /
		(v.videoHeight || i.naturalHeight || Number(box.getAttribute("height")));
	let w = box.clientWidth, h = box.clientHeight;
	if (w / h > ratio) w = h * ratio;
	else h = w / ratio;
	return { x: box.offsetLeft + (box.clientWidth - w) / 2, y: box.offsetTop + (box.clientHeight - h) / 2, w, h };
}

customElements.define("av-why", Why);
