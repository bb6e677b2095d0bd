// Sound on hover: three seconds of a clip, played while the pointer is on its point.

const kept = 64; // excerpts in memory, about 20 kB each
const fade = 30; // milliseconds
const workers = 2; // excerpts fetched ahead at a time

/** Hover plays one clip at a time, through one element, and fetches those of the next
 * points ahead. What is not wanted any more is not fetched. */
export class Hover {
	private audio = new Audio();
	private urls = new Map<string, string>(); // of blobs, the last used last
	private wanted = new AbortController();
	private fading = 0;
	private quiet: Promise<void> = Promise.resolve();

	/** play lets a clip sound, and then fetches those that may be next. It stays silent
	 * where there is no sound, and where the browser wants a press first. */
	async play(id: string, next: () => string[]) {
		this.stop();
		const { signal } = this.wanted;
		try {
			const url = await this.load(id, signal);
			await this.quiet;
			if (signal.aborted) return;
			this.audio.src = url;
			this.audio.volume = 0;
			await this.audio.play();
			if (signal.aborted) return;
			this.turn(1);
		} catch { return; }
		const rest = next();
		await Promise.all(Array.from({ length: workers }, async () => {
			for (let n = rest.shift(); n !== undefined && !signal.aborted; n = rest.shift()) {
				await this.load(n, signal).catch(() => {});
			}
		}));
	}

	/** stop fades what sounds, and gives up what is being fetched. */
	stop() {
		this.wanted.abort();
		this.wanted = new AbortController();
		if (!this.audio.paused) this.quiet = this.turn(0).then(() => { if (this.audio.volume === 0) this.audio.pause(); });
	}

	/** turn brings the volume to a value within the time of a fade. */
	private turn(to: number): Promise<void> {
		clearInterval(this.fading);
		const from = this.audio.volume, begun = performance.now();
		return new Promise((done) => {
			const step = () => {
				const part = Math.min(1, (performance.now() - begun) / fade);
				this.audio.volume = from + (to - from) * part;
				if (part < 1) return;
				clearInterval(this.fading);
				done();
			};
			this.fading = window.setInterval(step, 5);
		});
	}

	private async load(id: string, signal: AbortSignal): Promise<string> {
		let url = this.urls.get(id);
		if (!url) {
			const answer = await fetch(`/v1/clips/${encodeURIComponent(id)}/excerpt.m4a`, { signal });
			if (!answer.ok) throw new Error(String(answer.status));
			url = URL.createObjectURL(await answer.blob());
		}
		this.urls.delete(id);
		this.urls.set(id, url);
		for (const [old, there] of this.urls) {
			if (this.urls.size <= kept) break;
			if (there === this.audio.src) continue;
			URL.revokeObjectURL(there);
			this.urls.delete(old);
		}
		return url;
	}
}
