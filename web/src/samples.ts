// What a run finds for held-out clips, after each of its checkpoints.
import { $, say } from "./dom";

class Samples extends HTMLElement {
	private shown = "";
	private waiting = 0;

	connectedCallback() {
		const slide = $<HTMLInputElement>("input[type=range]", this);
		if (!slide) return;
		const steps = (slide.dataset.steps ?? "").split(" ");
		if (steps.length > 1) {
			$("[data-slot=choose]", this)!.hidden = true;
			$("[data-slot=show]", this)!.hidden = true;
			$("[data-slot=slide]", this)!.hidden = false;
		}
		const label = () => slide.setAttribute("aria-valuetext", "step " + steps[Number(slide.value)]);
		label();
		this.shown = steps[Number(slide.value)];
		slide.addEventListener("input", () => {
			label();
			clearTimeout(this.waiting);
			this.waiting = window.setTimeout(() => this.show(steps[Number(slide.value)]), 120);
		});
		$("form", this)?.addEventListener("submit", (e) => {
			e.preventDefault();
			void this.show($<HTMLSelectElement>("select", this)!.value);
		});
	}

	private async show(step: string) {
		if (step === this.shown) return;
		this.shown = step;
		try {
			const answer = await fetch(`/runs/${encodeURIComponent(this.dataset.run ?? "")}/samples?step=${step}`, { headers: { Accept: "text/html" } });
			const page = new DOMParser().parseFromString(await answer.text(), "text/html");
			const next = $("[data-slot=found]", page);
			if (step !== this.shown) return; // another one was chosen meanwhile
			if (!next) return say("There are no samples of step " + step);
			$("[data-slot=found]", this)!.replaceChildren(...[...next.childNodes].map((n) => document.importNode(n, true)));
			say($("p", next)?.textContent?.trim() ?? "");
		} catch { this.shown = ""; /* the banner says that the server is gone */ }
	}
}

customElements.define("av-samples", Samples);
