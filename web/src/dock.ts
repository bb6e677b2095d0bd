// On a phone a film that plays goes along at the bottom of the screen when its place on
// the page is scrolled away.

const phone = matchMedia("(max-width: 30rem)");

/** What a dock needs of a player. */
interface Docked extends HTMLElement { media: HTMLMediaElement | null; readonly playing: boolean; readonly name: string; toggle(): Promise<void> }

/** dock lets a player go along. Its place keeps its height meanwhile, and nothing that has
 * the focus is below it. What it returns ends that. */
export function dock(player: Docked): () => void {
	const screen = player.querySelector<HTMLElement>(".screen"), media = player.media;
	if (!screen || !media) return () => {};
	const bar = document.createElement("div");
	bar.className = "dock";
	bar.hidden = true;
	bar.setAttribute("role", "group");
	bar.setAttribute("aria-label", "Playing: " + player.name);
	const button = (label: string, text: string, act: () => void) => {
		const b = document.createElement("button");
		b.type = "button";
		b.textContent = text;
		b.setAttribute("aria-label", label);
		b.addEventListener("click", act);
		bar.append(b);
		return b;
	};
	let own = false; // paused by the dock's own button, which can play it again
	const name = button("Back to " + player.name, player.name, () => {
		set(false); // its controls are there again, and can have the focus
		player.scrollIntoView({ block: "center" });
		media.focus({ preventScroll: true });
	});
	name.className = "quiet name";
	const play = button("Pause", "❚❚", () => {
		own = player.playing;
		player.toggle();
	});
	button("Close", "✕", () => {
		media.pause();
		set(false);
	});
	player.append(bar);

	const set = (on: boolean) => {
		if (on === !bar.hidden) return;
		if (!on && bar.contains(document.activeElement)) (document.activeElement as HTMLElement).blur();
		// The page keeps its length: what follows does not move.
		player.style.paddingTop = on ? screen.offsetHeight + "px" : "";
		player.classList.toggle("docked", on);
		document.documentElement.classList.toggle("has-dock", on);
		bar.hidden = !on;
		media.controls = !on;
		const focus = document.activeElement;
		const under = focus?.getBoundingClientRect(), { top } = bar.getBoundingClientRect();
		if (on && under && under.bottom > top && under.top < innerHeight && focus !== document.body && !player.contains(focus)) {
			focus!.scrollIntoView({ block: "nearest" });
		}
	};
	let away = false;
	const look = () => {
		play.textContent = player.playing ? "❚❚" : "▶";
		play.setAttribute("aria-label", player.playing ? "Pause" : "Play");
		set(phone.matches && away && (player.playing || own && !bar.hidden && !media.ended));
		if (player.playing) own = false;
	};
	const seen = new IntersectionObserver(([e]) => {
		away = !e.isIntersecting;
		look();
	}, { rootMargin: "-52px 0px 0px 0px" }); // the bar at the top
	seen.observe(player);
	for (const event of ["play", "pause", "ended"]) media.addEventListener(event, look);
	phone.addEventListener("change", look);
	return () => {
		seen.disconnect();
		for (const event of ["play", "pause", "ended"]) media.removeEventListener(event, look);
		phone.removeEventListener("change", look);
		set(false);
		bar.remove();
	};
}
