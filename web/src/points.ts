import { problemOf, type Problem } from "./dom";

/** Points are the map of the library: a point is a clip's vector of one modality. */
export interface Points {
	ids: string[];
	labels: string[]; // "" for none
	x: Float32Array; // 0 … 1
	y: Float32Array; // 0 … 1, downwards
	partner: number[] | null; // the same clip's other point, −1 for none
	of: string[] | null; // which vector a point stands for
	all: number; // clips of the library
	method: string;
}

interface Head { method: string; clips: number; points: number; ids: string[]; labels: string[]; label: number[]; partner?: number[]; of?: string[] }

/** readMap loads a map: the length of a JSON head, the head, and two 16-bit numbers a
 * point. */
export async function readMap(url: string): Promise<Points> {
	let answer: Response;
	try {
		answer = await fetch(url);
	} catch {
		throw { title: "The server does not answer", hint: "Is avjepa serve still running?" } as Problem;
	}
	if (!answer.ok) throw problemOf(await answer.text(), answer.status);
	const bytes = await answer.arrayBuffer();
	const n = new DataView(bytes).getUint32(0, true);
	const head = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, n))) as Head;
	const view = new DataView(bytes, 4 + n);
	const x = new Float32Array(head.points), y = new Float32Array(head.points);
	for (let i = 0; i < head.points; i++) {
		x[i] = view.getUint16(4 * i, true) / 65535;
		y[i] = 1 - view.getUint16(4 * i + 2, true) / 65535;
	}
	return {
		ids: head.ids, x, y, labels: head.label.map((l) => head.labels[l] ?? ""),
		partner: head.partner ?? null, of: head.of ?? null, all: head.clips, method: head.method,
	};
}
