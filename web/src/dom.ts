// Small things that several scripts need.

export const $ = <T extends Element = HTMLElement>(css: string, from: ParentNode = document) =>
	from.querySelector<T>(css);
export const $$ = <T extends Element = HTMLElement>(css: string, from: ParentNode = document) =>
	[...from.querySelectorAll<T>(css)];

/** clock returns seconds as 1:05. */
export function clock(seconds: number): string {
	const s = Math.max(0, Math.floor(seconds || 0));
	return Math.floor(s / 60) + ":" + String(s % 60).padStart(2, "0");
}

let spoken = 0, waiting = 0;

/** say puts a line into the page's live region, at most one in two seconds: the last
 * one wins. */
export function say(text: string) {
	const region = $("#live");
	if (!region) return;
	clearTimeout(waiting);
	const wait = Math.max(50, spoken + 2000 - performance.now());
	waiting = window.setTimeout(() => {
		spoken = performance.now();
		region.textContent = text;
	}, wait);
}

/** Problem is an error as the server tells it (RFC 9457). */
export interface Problem { title: string; detail?: string; hint?: string; status?: number }

/** problemOf reads the problem of an answer, or makes one up from its status. */
export function problemOf(text: string, status: number): Problem {
	try {
		const p = JSON.parse(text);
		if (p && p.title) return p;
	} catch { /* not JSON */ }
	return { title: "The server answered " + status, status, hint: "Try again." };
}

/** load fetches JSON; it throws a Problem. */
export async function load<T>(url: string, signal?: AbortSignal): Promise<T> {
	let answer: Response;
	try {
		answer = await fetch(url, { headers: { Accept: "application/json" }, signal });
	} catch (e) {
		if (signal?.aborted) throw e;
		throw { title: "The server does not answer", hint: "Is avjepa serve still running?" } as Problem;
	}
	if (!answer.ok) throw problemOf(await answer.text(), answer.status);
	return answer.json();
}

/** note returns a message as an element. */
export function note(p: Problem): HTMLElement {
	const div = document.createElement("div");
	div.className = "note error";
	div.setAttribute("role", "alert");
	const b = document.createElement("b");
	b.textContent = p.title + ". ";
	const line = document.createElement("p");
	const sentence = (t: string) => t[0].toUpperCase() + t.slice(1) + (/[.?!]$/.test(t) ? "" : ".");
	line.append(b, [p.detail, p.hint].flatMap((t) => t ? [sentence(t)] : []).join(" "));
	div.append(line);
	return div;
}

/** colour returns the value of a custom property as the page shows it now. */
export function colour(name: string): string {
	const probe = document.createElement("span");
	probe.style.color = `var(${name})`;
	probe.hidden = true;
	document.body.append(probe);
	probe.style.display = "block";
	const c = getComputedStyle(probe).color;
	probe.remove();
	return c;
}

/** onTheme calls f whenever the colours of the page change. */
export function onTheme(f: () => void) {
	matchMedia("(prefers-color-scheme: dark)").addEventListener("change", f);
	document.addEventListener("themechange", f);
}

/** inField says whether keys belong to what is being typed into. */
export function inField(e: Event): boolean {
	const t = e.target as HTMLElement;
	return !!t.closest?.("input:not([type=radio]):not([type=checkbox]):not([type=range]), select, textarea, [contenteditable]");
}
