// What every page loads: theme, keys, players, moving about in grids of clips.
import { $, $$, inField, say } from "./dom";
import "./player";
import type { Player } from "./player";
import { openKeys, keysOff } from "./keys";

/** The theme follows the system until it is switched; a cookie keeps the choice, so
 * that the server's next page begins in it. */
function theme() {
	const button = $<HTMLButtonElement>("#theme");
	const root = document.documentElement;
	const dark = () => root.dataset.theme ? root.dataset.theme === "dark"
		: matchMedia("(prefers-color-scheme: dark)").matches;
	button?.addEventListener("click", (e) => {
		e.preventDefault();
		root.dataset.theme = dark() ? "light" : "dark";
		document.cookie = `theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=strict`;
		document.dispatchEvent(new Event("themechange"));
		say(root.dataset.theme + " colours");
	});
}

/** current is the player that keys act on: the one that plays, else the one that has
 * the focus, else the first on the page. */
function current(): Player | null {
	const all = $$<Player>("av-player");
	return all.find((p) => p.playing) ?? all.find((p) => p.contains(document.activeElement)) ?? all[0] ?? null;
}

/** A grid is one stop of the tab key; arrows, j and k move within it. */
function roving(list: HTMLElement) {
	const cards = () => $$(".card", list);
	const links = (card: HTMLElement) => $$<HTMLElement>("a, button", card);
	const enter = (card: HTMLElement | undefined, focus: boolean) => {
		if (!card) return;
		for (const c of cards()) for (const l of links(c)) l.tabIndex = c === card ? 0 : -1;
		if (focus) links(card)[0]?.focus();
	};
	enter(cards()[0], false);
	list.addEventListener("focusin", (e) => enter((e.target as HTMLElement).closest<HTMLElement>(".card") ?? undefined, false));
	list.addEventListener("keydown", (e) => {
		if (inField(e) || e.ctrlKey || e.metaKey || e.altKey) return;
		const all = cards(), here = (e.target as HTMLElement).closest<HTMLElement>(".card");
		const i = here ? all.indexOf(here) : -1;
		const across = Math.max(1, all.filter((c) => c.offsetTop === all[0].offsetTop).length);
		const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across }[e.key];
		if (by === undefined || i < 0) return;
		e.preventDefault();
		enter(all[Math.min(Math.max(0, i + by), all.length - 1)], true);
	});
}

/** playCard plays a clip in its place in the grid, or stops it. */
function playCard(card: HTMLElement) {
	const thumb = $(".thumb", card)!;
	const old = $<HTMLMediaElement>("video, audio", thumb);
	stopCards();
	if (old) return;
	for (const p of $$<Player>("av-player")) p.media?.pause();
	const media = document.createElement(card.dataset.film ? "video" : "audio");
	media.src = card.dataset.film ?? card.dataset.sound ?? "";
	if (!media.src) return;
	if (media instanceof HTMLVideoElement) {
		media.playsInline = true;
		media.setAttribute("aria-label", $("h3", card)?.textContent?.trim() ?? "");
		$("img", thumb)!.hidden = true;
	}
	media.addEventListener("ended", stopCards);
	thumb.prepend(media);
	media.play().catch((e: DOMException) => { if (e.name === "NotAllowedError") stopCards(); });
	say("playing " + ($("h3", card)?.textContent?.trim() ?? ""));
}

function stopCards() {
	for (const media of $$<HTMLMediaElement>(".thumb video, .thumb audio")) {
		media.pause();
		const img = $("img", media.parentElement!);
		media.remove();
		if (img) img.hidden = false;
	}
}

/** Cards play when their picture is pressed. */
function cardsPlay() {
	document.addEventListener("click", (e) => {
		const thumb = (e.target as HTMLElement).closest?.(".card .thumb");
		if (thumb) playCard(thumb.closest<HTMLElement>(".card")!);
	});
}

const doors: Record<string, string> = { s: "/", l: "/library", m: "/map", r: "/runs", o: "/models" };
let going = 0;

function keys(e: KeyboardEvent) {
	if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || $("dialog[open]")) return;
	if (inField(e)) return;
	const focus = document.activeElement as HTMLElement | null;
	const card = focus?.closest<HTMLElement>(".card") ?? null;
	const player = current();
	if (e.key === "Escape") {
		stopCards();
		for (const p of $$<Player>("av-player")) p.media?.pause();
		return;
	}
	if (e.key === " ") {
		if (focus?.closest("button, summary, input, audio, video, [role=button]")) return;
		if (card) playCard(card);
		else if (player?.media) player.toggle();
		else return;
		e.preventDefault();
		return;
	}
	if (keysOff() && e.key !== "?") return;
	if (going && performance.now() - going < 1500 && doors[e.key]) {
		location.href = doors[e.key];
		return;
	}
	going = 0;
	const press = (css: string) => {
		const there = (card && $(css, card)) ?? $(css);
		there?.click();
		return !!there;
	};
	const within = !!focus?.closest("[data-keys]"); // parts with keys of their own
	switch (e.key) {
	case "?": openKeys(); break;
	case "/": {
		const field = $<HTMLElement>("[data-search]");
		if (field) field.focus();
		else location.href = "/";
		break;
	}
	case "g": going = performance.now(); break;
	case ",": case ".":
		if (!player?.media || within) return;
		player.step(e.key === "," ? -1 : 1);
		break;
	case "j": case "k": {
		if (within) return;
		const all = $$(".card").filter((c) => c.offsetParent);
		const i = card ? all.indexOf(card) : -1;
		const next = all[Math.min(Math.max(0, i + (e.key === "j" ? 1 : -1)), all.length - 1)];
		const link = next && $<HTMLElement>("a", next);
		if (!link) return;
		link.focus();
		break;
	}
	case "w": if (within || !press("[data-key=w]")) return; break;
	case "n": if (within || !press("[data-key=n]")) return; break;
	case "a": case "v": case "b": {
		const value = { a: "look", v: "sound", b: "both" }[e.key];
		const radio = $<HTMLInputElement>(`input[name=find][value=${value}]`);
		if (!radio) return;
		radio.checked = true;
		radio.dispatchEvent(new Event("change", { bubbles: true }));
		say(radio.closest("label")?.textContent?.trim() ?? "");
		const apply = $<HTMLButtonElement>("[data-apply]");
		if (apply) apply.click();
		break;
	}
	default: return;
	}
	e.preventDefault();
}

/** When a page of this server cannot be reached any more, say so and look again. */
function watchServer() {
	let gone = false;
	const look = async () => {
		if (document.hidden) return;
		let ok = false;
		try { ok = (await fetch("/healthz", { cache: "no-store" })).status < 500; } catch { /* gone */ }
		if (ok === !gone) return;
		gone = !ok;
		$("#gone")?.remove();
		if (!gone) return say("The server is back");
		const banner = document.createElement("div");
		banner.id = "gone";
		banner.className = "banner";
		banner.setAttribute("role", "alert");
		banner.textContent = "The server does not answer. This page stays as it is and looks again every 15 seconds.";
		document.body.append(banner);
	};
	setInterval(look, 15000);
	document.addEventListener("visibilitychange", look);
}

/** Parts of a page that change by themselves are fetched again and put in their place,
 * unless somebody is in them, or the page is hidden or paused. */
function refresh(part: HTMLElement) {
	const every = Number(part.dataset.refresh) * 1000;
	let last = part.innerHTML;
	const again = async () => {
		if (document.hidden || part.contains(document.activeElement) || part.dataset.paused) return;
		try {
			const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
			if (!answer.ok) return;
			const next = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(part.id);
			if (!next && part.dataset.gone === "reload") return location.reload(); // what it waited for is there
			if (!next || next.innerHTML === last) return;
			last = next.innerHTML;
			part.replaceChildren(...[...next.childNodes].map((n) => document.importNode(n, true)));
			part.dispatchEvent(new Event("refreshed", { bubbles: true }));
		} catch { /* the banner says so */ }
	};
	setInterval(again, every);
}

/** The address that avjepa serve prints carries its token behind the #, which no
 * browser sends: it is exchanged for a cookie. */
async function token() {
	const t = /^#t=(.+)$/.exec(location.hash)?.[1];
	if (!t) return;
	history.replaceState(null, "", location.pathname + location.search);
	const answer = await fetch("/v1/session", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token: decodeURIComponent(t) }) });
	if (answer.ok && $("#token-form")) location.reload();
}

/** Pictures and films are made when they are first asked for. Until then the server
 * says 503: the place keeps its size, and it is asked again. */
function patience() {
	addEventListener("error", (e) => {
		const t = e.target;
		if (!(t instanceof HTMLImageElement || t instanceof HTMLMediaElement) || !t.src.startsWith(location.origin + "/v1/")) return;
		const n = Number(t.dataset.tries ?? 0);
		if (n >= 6) return;
		t.dataset.tries = String(n + 1);
		const played = t instanceof HTMLMediaElement && !t.paused;
		setTimeout(() => {
			const src = t.src;
			t.src = src;
			if (t instanceof HTMLMediaElement && played) t.play().catch(() => {});
		}, 1000 * 2 ** n);
	}, true);
}

/** A form whose answer takes a while says so at once, and is sent only once. */
function busy() {
	addEventListener("submit", (e) => {
		const button = (e as SubmitEvent).submitter;
		if (!(button instanceof HTMLButtonElement) || !button.dataset.busy) return;
		button.textContent = button.dataset.busy;
		say(button.dataset.busy);
		setTimeout(() => { button.disabled = true; }); // a disabled one is not sent
	});
	// The page may be taken out of the browser's memory on the way back.
	addEventListener("pageshow", (e) => { if (e.persisted) location.reload(); });
}

token();
busy();
patience();
theme();
for (const part of $$("[data-refresh]")) refresh(part);
for (const list of $$("[data-roving]")) roving(list);
cardsPlay();
addEventListener("keydown", keys);
$("#keys-link")?.addEventListener("click", (e) => { e.preventDefault(); openKeys(); });
watchServer();
for (const radio of $$("form [data-apply]")) {
	radio.closest("form")!.addEventListener("change", (e) => (e.currentTarget as HTMLFormElement).requestSubmit());
}
