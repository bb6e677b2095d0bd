// The search page: drop, choose or record a file, send it and show how far it is.
import { LitElement, html, nothing } from "lit";
import { $, clock, note, problemOf, say, type Problem } from "./dom";

const steps = ["Sending", "Reading and searching"];

interface Answer { query: { id: string } }

/** av-search is the form of the search page; without script the form is sent as it
 * is. */
class Search extends HTMLElement {
	private request: XMLHttpRequest | null = null;
	private get form() { return $<HTMLFormElement>("form", this)!; }
	private get panel() { return $("[data-slot=panel]", this)!; }

	connectedCallback() {
		const drop = $(".drop", this), input = $<HTMLInputElement>("#file", this);
		if (!drop || !input) return;
		for (const name of ["dragenter", "dragover"]) {
			drop.addEventListener(name, (e) => { e.preventDefault(); drop.classList.add("over"); });
		}
		for (const name of ["dragleave", "drop"]) {
			drop.addEventListener(name, (e) => { e.preventDefault(); drop.classList.remove("over"); });
		}
		drop.addEventListener("drop", (e) => {
			const file = (e as DragEvent).dataTransfer?.files[0];
			if (file) this.send(file, file.name);
		});
		input.addEventListener("change", () => {
			if (input.files?.[0]) this.send(input.files[0], input.files[0].name);
		});
		this.form.addEventListener("submit", (e) => {
			e.preventDefault();
			const file = input.files?.[0];
			if (file) this.send(file, file.name);
			else {
				this.fail({ title: "No file is chosen", hint: "Choose a file first, record a sound, or start from a clip of the library." });
				input.focus();
			}
		});
		document.addEventListener("paste", (e) => {
			const file = e.clipboardData?.files[0];
			if (file) this.send(file, file.name);
		});
		const slot = $("[data-slot=record]", this)!;
		slot.append(document.createElement("av-recorder"));
		addEventListener("recorded", (e) => {
			const { blob, name } = (e as CustomEvent).detail;
			this.send(blob, name);
		});
		addEventListener("pageshow", (e) => { if (e.persisted) this.idle(); });
	}

	private idle() {
		this.request = null;
		this.panel.replaceChildren();
	}

	private fail(p: Problem) {
		this.request = null;
		this.panel.replaceChildren(note(p));
	}

	/** send uploads a file and goes to its results. */
	private send(file: Blob, name: string) {
		this.request?.abort();
		const limit = Number(this.dataset.limit);
		if (limit && file.size > limit) {
			return this.fail({ title: "The file is too large", detail: `It has ${(file.size / 1048576).toFixed(0)} MiB, at most ${(limit / 1048576).toFixed(0)} MiB are read.`, hint: "Cut it: a few seconds are enough." });
		}
		const list = document.createElement("ol");
		list.className = "steps";
		const items = steps.map((s) => Object.assign(document.createElement("li"), { textContent: s }));
		list.append(...items);
		const bar = document.createElement("progress");
		bar.max = 1;
		bar.value = 0;
		bar.setAttribute("aria-label", "Upload of " + name);
		const cancel = document.createElement("button");
		cancel.type = "button";
		cancel.textContent = "Cancel";
		const title = document.createElement("p");
		title.textContent = name;
		this.panel.replaceChildren(title, list, bar, cancel);
		const at = (i: number) => items.forEach((li, k) => {
			li.classList.toggle("done", k < i);
			if (k === i) li.setAttribute("aria-current", "step");
			else li.removeAttribute("aria-current");
		});
		at(0);
		say("Sending " + name);

		const request = new XMLHttpRequest();
		this.request = request;
		const label = $<HTMLSelectElement>("select[name=label]", this)?.value;
		const find = $<HTMLInputElement>("input[name=find]:checked", this)?.value ?? "";
		cancel.addEventListener("click", () => {
			request.abort();
			this.idle();
			say("Cancelled");
		});
		request.upload.addEventListener("progress", (e) => { if (e.lengthComputable) bar.value = e.loaded / e.total; });
		request.upload.addEventListener("load", () => {
			at(1);
			bar.removeAttribute("value");
			say(steps[1]);
		});
		request.addEventListener("load", () => {
			if (this.request !== request) return;
			if (request.status !== 200) return this.fail(problemOf(request.responseText, request.status));
			at(2);
			const query = (JSON.parse(request.responseText) as Answer).query;
			const to = new URLSearchParams();
			if (find) to.set("find", find);
			if (label) to.set("label", label);
			location.href = `/search/q/${encodeURIComponent(query.id)}${to.size ? "?" + to : ""}`;
		});
		request.addEventListener("error", () => {
			if (this.request === request) this.fail({ title: "The server does not answer", hint: "Is avjepa serve still running? The file is still chosen: press Search to try again." });
		});
		const body = new FormData();
		body.set("file", file, name);
		const pair = ({ look: ["audio", "video"], sound: ["video", "audio"], both: ["both", "both"] } as Record<string, string[]>)[find];
		if (pair) {
			body.set("from", pair[0]);
			body.set("to", pair[1]);
		}
		if (label) body.set("label", label);
		request.open("POST", "/v1/search");
		request.setRequestHeader("Accept", "application/json");
		request.send(body);
	}
}

const most = 15; // seconds of a recording

/** av-recorder records sound: a level, a countdown, and a listen before it is sent.
 * Filters made for speech are off: they bend other sounds. */
class Recorder extends LitElement {
	static properties = { state: { state: true }, left: { state: true }, level: { state: true }, problem: { state: true } };
	declare state: "off" | "asking" | "on" | "done";
	declare left: number;
	declare level: number;
	declare problem: Problem | null;
	private stream: MediaStream | null = null;
	private recorder: MediaRecorder | null = null;
	private blob: Blob | null = null;
	private url = "";
	private context: AudioContext | null = null;
	private timer = 0;

	constructor() {
		super();
		this.state = "off";
		this.left = most;
		this.level = 0;
		this.problem = null;
	}

	createRenderRoot() { return this; }

	private get can() { return !!navigator.mediaDevices?.getUserMedia && "MediaRecorder" in window; }

	render() {
		const phone = html`<label class="field">Record with phone app<input type="file" accept="audio/*" capture
			@change=${(e: Event) => this.give((e.target as HTMLInputElement).files?.[0])}></label>`;
		if (!this.can) {
			return html`<span class="small muted">Recording needs https or this computer itself.
				Choose <em>Record with phone app</em> instead.</span>${phone}`;
		}
		const coarse = matchMedia("(pointer: coarse)").matches;
		switch (this.state) {
		case "asking": return html`<span role="status">Allow the microphone in the browser’s question…</span>`;
		case "on": return html`
			<div class="row" role="group" aria-label="Recording">
				<button type="button" class="primary" @click=${this.stop}>■ Stop</button>
				<span class="error-text">● ${clock(this.left)} left</span>
				<div class="meter" role="meter" aria-label="Level" aria-valuemin="0" aria-valuemax="100"
					aria-valuenow=${Math.round(this.level * 100)}><svg viewBox="0 0 100 10" width="120" height="10"
					preserveAspectRatio="none" aria-hidden="true"><rect width=${this.level * 100} height="10"></rect></svg></div>
			</div>`;
		case "done": return html`
			<div class="row" role="group" aria-label="Recording">
				<audio controls src=${this.url} aria-label="Your recording"></audio>
				<button type="button" class="primary" @click=${this.send}>Search with this</button>
				<button type="button" @click=${this.start}>Again</button>
				<button type="button" @click=${this.drop}>Discard</button>
			</div>`;
		}
		return html`<button type="button" @click=${this.start} id="record">● Record sound</button>
			${coarse ? phone : nothing}
			${this.problem ? html`<span class="error-text" role="alert">${this.problem.title}. ${this.problem.hint}</span>` : nothing}`;
	}

	private give(file: File | undefined) {
		if (file) this.dispatchEvent(new CustomEvent("recorded", { detail: { blob: file, name: file.name }, bubbles: true }));
	}

	private async start() {
		this.drop();
		this.state = "asking";
		this.problem = null;
		try {
			this.stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
		} catch (e) {
			this.state = "off";
			const refused = (e as DOMException).name === "NotAllowedError";
			this.problem = refused
				? { title: "The microphone was refused", hint: "Allow it in the browser’s settings for this page, or choose a file." }
				: { title: "No microphone can be used", hint: "Plug one in, or choose a file." };
			return;
		}
		const kind = ["audio/webm;codecs=opus", "audio/mp4", "audio/ogg;codecs=opus"].find((k) => MediaRecorder.isTypeSupported(k));
		const parts: Blob[] = [];
		this.recorder = new MediaRecorder(this.stream, kind ? { mimeType: kind, audioBitsPerSecond: 128000 } : undefined);
		this.recorder.ondataavailable = (e) => { if (e.data.size) parts.push(e.data); };
		this.recorder.onstop = () => {
			this.blob = new Blob(parts, { type: this.recorder!.mimeType });
			this.url = URL.createObjectURL(this.blob);
			this.release();
			this.state = "done";
			say("Recorded. Listen to it, then search.");
		};
		this.recorder.start();
		this.meter(this.stream);
		this.state = "on";
		this.left = most;
		const begun = performance.now();
		this.timer = window.setInterval(() => {
			this.left = most - (performance.now() - begun) / 1000;
			if (this.left <= 0) this.stop();
		}, 200);
		await this.updateComplete;
		$<HTMLButtonElement>("button", this)?.focus();
		say(`Recording, at most ${most} seconds`);
	}

	private meter(stream: MediaStream) {
		this.context = new AudioContext();
		const analyser = this.context.createAnalyser();
		analyser.fftSize = 1024;
		this.context.createMediaStreamSource(stream).connect(analyser);
		const data = new Float32Array(analyser.fftSize);
		const look = () => {
			if (this.state !== "on" && this.state !== "asking") return;
			analyser.getFloatTimeDomainData(data);
			let peak = 0;
			for (const v of data) peak = Math.max(peak, Math.abs(v));
			this.level = Math.min(1, Math.max(0, 1 + Math.log10(Math.max(peak, 1e-3)) / 3));
			setTimeout(look, 60);
		};
		look();
	}

	private stop() {
		clearInterval(this.timer);
		if (this.recorder?.state === "recording") this.recorder.stop();
	}

	private release() {
		for (const t of this.stream?.getTracks() ?? []) t.stop();
		this.context?.close();
		this.stream = this.context = null;
	}

	private drop() {
		if (this.url) URL.revokeObjectURL(this.url);
		this.url = "";
		this.blob = null;
		this.state = "off";
	}

	private send() {
		if (!this.blob) return;
		const end = this.blob.type.includes("mp4") ? "m4a" : this.blob.type.includes("ogg") ? "ogg" : "webm";
		this.dispatchEvent(new CustomEvent("recorded", { detail: { blob: this.blob, name: "recording." + end }, bubbles: true }));
	}
}

customElements.define("av-recorder", Recorder);
customElements.define("av-search", Search);
