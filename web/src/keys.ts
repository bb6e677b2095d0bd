import { $ } from "./dom";

const off = "keys-off";

/** keysOff says whether single letters have been switched off (WCAG 2.1.4). */
export function keysOff(): boolean {
	try { return localStorage.getItem(off) === "1"; } catch { return false; }
}

/** openKeys shows the list of keys: the one of the page /keys, in a dialog. */
export async function openKeys() {
	let dialog = $<HTMLDialogElement>("#keys");
	if (!dialog) {
		let page: Document;
		try {
			const text = await (await fetch("/keys")).text();
			page = new DOMParser().parseFromString(text, "text/html");
		} catch {
			location.href = "/keys";
			return;
		}
		dialog = document.createElement("dialog");
		dialog.id = "keys";
		dialog.setAttribute("aria-labelledby", "keys-title");
		const title = document.createElement("h2");
		title.id = "keys-title";
		title.textContent = "Keys";
		const label = document.createElement("label");
		label.className = "choice";
		const box = document.createElement("input");
		box.type = "checkbox";
		box.checked = !keysOff();
		box.addEventListener("change", () => {
			try { localStorage.setItem(off, box.checked ? "0" : "1"); } catch { /* private window */ }
		});
		label.append(box, "Single letters act");
		const close = document.createElement("button");
		close.textContent = "Close";
		close.className = "primary";
		close.addEventListener("click", () => dialog!.close());
		const row = document.createElement("div");
		row.className = "row spread";
		row.append(label, close);
		const list = page.querySelector("dl.keys");
		if (list) dialog.append(title, document.importNode(list, true), row);
		document.body.append(dialog);
	}
	if (!dialog.open) dialog.showModal();
}
