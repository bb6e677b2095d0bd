import { dock } from "./dock";
import { $, clock } from "./dom";

/**
 * av-player is a film or a sound with its log-mel. There is one clock,
 * media.currentTime: the playhead follows it and nothing else, and a press on the
 * log-mel sets it. The media element and the pictures come from the page.
 */
export class Player extends HTMLElement {
	media: HTMLMediaElement | null = null;
	mel: HTMLElement | null = null;
	private head: HTMLElement | null = null;
	private frame = 0;
	private stops: (() => void)[] = [];

	/** seconds of the clip: what the server counted, as some files say nothing. */
	get seconds(): number { return Number(this.dataset.seconds) || this.media?.duration || 0; }
	get name(): string { return this.dataset.name ?? ""; }
	get time(): number { return this.media?.currentTime ?? 0; }
	get playing(): boolean { return !!this.media && !this.media.paused && !this.media.ended; }

	connectedCallback() {
		this.media = $<HTMLMediaElement>("video, audio", this);
		this.mel = $(".mel", this);
		const video = this.media as HTMLVideoElement | null;
		if (video?.tagName === "VIDEO" && video.width && video.height) {
			$(".screen", this)!.style.setProperty("--shape", `${video.width} / ${video.height}`);
		}
		if (!this.media) return;
		const on = (name: string, f: (e: any) => void, target: EventTarget = this.media!) => {
			target.addEventListener(name, f);
			this.stops.push(() => target.removeEventListener(name, f));
		};
		for (const name of ["play", "playing", "seeked", "timeupdate", "pause", "ended"]) {
			on(name, () => this.follow());
		}
		on("play", () => this.alone());
		if (this.mel) this.scrub(this.mel, on);
		if (!this.closest("[data-together]")) this.stops.push(dock(this)); // two at once have no room
	}

	disconnectedCallback() {
		cancelAnimationFrame(this.frame);
		for (const stop of this.stops) stop();
		this.stops = [];
		this.media?.pause();
	}

	/** toggle plays or pauses. Browsers may refuse sound before a press: then the
	 * player stays as it is, with its button. */
	async toggle() {
		if (!this.media) return;
		if (this.playing) this.media.pause();
		else await this.play();
	}

	async play(): Promise<void> {
		try {
			await this.media?.play();
		} catch { /* refused, or paused again before it began */ }
	}

	seek(t: number) {
		if (!this.media) return;
		if (this.media.preload === "none") this.media.preload = "metadata";
		const to = Math.min(Math.max(0, t), Math.max(0, this.seconds - 0.001));
		if (this.media.readyState > 0) this.media.currentTime = to;
		else {
			this.media.addEventListener("loadedmetadata", () => { this.media!.currentTime = to; }, { once: true });
			this.media.load();
		}
		this.draw(to);
	}

	/** step goes n frames on, by the times at which the frames are shown. */
	step(n: number) {
		this.media?.pause();
		const times = this.times();
		const t = this.time + 1e-4;
		if (!times.length) return this.seek(t + n / 25);
		let i = times.findIndex((x) => x > t) - 1;
		if (i < -1) i = times.length - 1;
		i = Math.min(Math.max(0, i + n), times.length - 1);
		const next = i + 1 < times.length ? times[i + 1] : this.seconds;
		this.seek(times[i] + Math.min(0.001, Math.max(0, next - times[i]) / 2));
	}

	private known: number[] | null = null;

	/** setTimes tells the times of the frames. */
	setTimes(times: number[]) { this.known = times; }

	private times(): number[] {
		if (this.known) return this.known;
		const fps = Number(this.dataset.frames);
		if (!(fps > 0)) return [];
		this.known = Array.from({ length: Math.floor(this.seconds * fps + 0.5) }, (_, i) => i / fps);
		return this.known;
	}

	/** alone pauses the other players: one sound at a time, unless told otherwise. */
	private alone() {
		if (this.closest("[data-together]")) return;
		for (const p of document.querySelectorAll<Player>("av-player")) {
			if (p !== this) p.media?.pause();
		}
	}

	private scrub(mel: HTMLElement, on: (n: string, f: (e: any) => void, t?: EventTarget) => void) {
		this.head = document.createElement("div");
		this.head.className = "playhead";
		mel.append(this.head);
		mel.tabIndex = 0;
		mel.setAttribute("role", "slider");
		mel.setAttribute("aria-label", "Position in " + this.name);
		mel.setAttribute("aria-valuemin", "0");
		mel.setAttribute("aria-valuemax", this.seconds.toFixed(2));
		const at = (e: PointerEvent) => {
			const box = mel.getBoundingClientRect();
			this.seek((e.clientX - box.left) / box.width * this.seconds);
		};
		on("pointerdown", (e: PointerEvent) => {
			mel.setPointerCapture(e.pointerId);
			at(e);
		}, mel);
		on("pointermove", (e: PointerEvent) => { if (mel.hasPointerCapture(e.pointerId)) at(e); }, mel);
		on("keydown", (e: KeyboardEvent) => {
			const to: Record<string, number> = {
				ArrowLeft: this.time - 1, ArrowRight: this.time + 1, Home: 0, End: this.seconds,
				ArrowDown: this.time - 1, ArrowUp: this.time + 1,
			};
			if (!(e.key in to) || e.ctrlKey || e.metaKey || e.altKey) return;
			e.preventDefault();
			e.stopPropagation();
			this.seek(to[e.key]);
		}, mel);
		this.draw(0);
	}

	private follow() {
		cancelAnimationFrame(this.frame);
		this.draw(this.time);
		if (this.playing) this.frame = requestAnimationFrame(() => this.follow());
	}

	private draw(t: number) {
		if (this.head && this.mel) {
			const part = this.seconds > 0 ? Math.min(1, t / this.seconds) : 0;
			this.head.style.left = part * 100 + "%";
			this.mel.setAttribute("aria-valuenow", t.toFixed(2));
			this.mel.setAttribute("aria-valuetext", `${clock(t)} of ${clock(this.seconds)}`);
		}
		this.dispatchEvent(new CustomEvent("clock", { detail: t }));
	}
}

customElements.define("av-player", Player);
