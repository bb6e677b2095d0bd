import { html, nothing, render } from "lit";

export interface Clip { id: string; name: string; labels: string[]; has_video: boolean; has_audio: boolean; duration_seconds: number }
export interface Hit { clip: Clip; score: number }

/** panel shows a clip beside the map: player, log-mel, and the clips nearest to it in the
 * model's own space, null while they are not known. what is the vector that its point
 * stands for, in words. */
export function panel(slot: HTMLElement, c: Clip, what: string, near: Hit[] | null) {
	const base = "/v1/clips/" + encodeURIComponent(c.id);
	render(html`
		<div class="screen">${c.has_video
			? html`<video controls playsinline preload="none" width="320" height="180" src="${base}/preview.mp4" poster="${base}/thumb.jpg" aria-label=${c.name}></video>`
			: html`<audio controls preload="none" src="${base}/audio.m4a" aria-label=${c.name}></audio>`}</div>
		${c.has_audio ? html`<div class="mel"><img src="${base}/mel.png" alt="Log-mel of ${c.name}" width="320" height="96"></div>` : nothing}
		<p><a href="/clips/${encodeURIComponent(c.id)}"><b>${c.name}</b></a> <span class="muted">${[c.labels.join(", "), what].filter(Boolean).join(" · ")}</span></p>
		${near?.length ? html`<h3>True neighbours</h3><ol class="list">${near.map((h) => html`
			<li><a href="/clips/${encodeURIComponent(h.clip.id)}"><span>${h.clip.name}</span><span class="num">${h.score.toFixed(2)}</span></a></li>`)}</ol>
			<p class="small muted">Nearest in the model’s own space, which the map can only hint at.</p>` : nothing}`, slot);
}
